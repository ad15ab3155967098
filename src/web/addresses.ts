/** Which addresses may be connected to: those of the public internet, and what the operator allows beside them. */
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Of all of IPv6 the only space that is routed on the public internet. */
const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3];
/** Where hosts of Azure are told about themselves. Every other metadata service is at a private address. */
const AZURE_HOST = '168.63.129.16';
const NAT64: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('64:ff9b::'), 96];

/** The IPv4 address that one of IPv6 stands for, where packets to it end there. */
function innermost(address: string): Address {
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 && parsed.match(NAT64) ? ipaddr.fromByteArray(parsed.toByteArray().slice(12)) : parsed;
}

/** `address`: as `node:net` and `node:dns` write it. Tunnels (6to4, Teredo) are not public: they lead to wherever their sender likes. */
export function isPublic(address: string): boolean {
  const inner = innermost(address);
  if (inner.range() !== 'unicast') return false;
  return inner instanceof ipaddr.IPv6 ? inner.match(GLOBAL_UNICAST) : inner.toString() !== AZURE_HOST;
}

interface Entry {
  /** Null: any. */
  port: number | null;
  host: { name: string; below: boolean } | { range: [Address, number] };
}

export interface AllowedHosts {
  /** Whether the name may be called wherever it leads. */
  name(host: string, port: number): boolean;
  address(address: string, port: number): boolean;
}

/** Names are compared so: without the dot of a name that is complete. */
export const plainName = (host: string): string => host.toLowerCase().replace(/\.$/, '');

/**
 * Entries with commas between: `api.internal`, `*.svc.local:8080`, `10.1.2.3`, `10.0.0.0/8:443`, `[::1]:3000`, `fd00::/8`.
 * Throws an error whose message names the entry that is none.
 */
export function readAllowedHosts(text: string | undefined): AllowedHosts {
  const entries = (text ?? '').split(',').map((entry) => entry.trim()).filter((entry) => entry !== '').map(readEntry);
  const on = (port: number) => (entry: Entry): boolean => entry.port === null || entry.port === port;
  return {
    name(host, port) {
      const plain = plainName(host);
      return entries.filter(on(port)).some(({ host: one }) => 'name' in one && (one.below ? plain.endsWith(`.${one.name}`) : plain === one.name));
    },
    address(address, port) {
      const inner = innermost(address);
      return entries.filter(on(port)).some(({ host: one }) => 'range' in one && one.range[0].kind() === inner.kind() && inner.match(one.range));
    },
  };
}

function readEntry(entry: string): Entry {
  const wrong = (): never => { throw new Error(`"${entry}" is no host, address or range (CIDR), with a port or without`); };
  const bare = /^[\da-f:.]*:[\da-f.]*:[\da-f:.]*(\/\d+)?$/i.test(entry); // IPv6 without brackets, and so without a port
  const [, host = '', port] = bare ? ['', entry] : (/^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(entry) ?? wrong());
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) wrong();
  return { port: port === undefined ? null : Number(port), host: rangeOf(host.replace(/^\[|\]$/g, '')) ?? nameOf(host) ?? wrong() };
}

function rangeOf(text: string): { range: [Address, number] } | null {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  // Shorter notations of IPv4 are read differently by different people.
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !ipaddr.IPv6.isValid(address)) return null;
  const parsed = ipaddr.process(address);
  const most = parsed.kind() === 'ipv4' ? 32 : 128;
  const length = bits === undefined ? most : Number(bits);
  return length <= most ? { range: [parsed, length] } : null;
}

function nameOf(text: string): { name: string; below: boolean } | null {
  const [, star, name = ''] = /^(\*\.)?((?:[a-z\d_](?:[a-z\d_-]*[a-z\d_])?\.)*[a-z\d_](?:[a-z\d_-]*[a-z\d_])?\.?)$/i.exec(text) ?? [];
  // A name that ends in a number is an address that is written wrong.
  return name === '' || /(^|\.)(\d+|0x[\da-f]*)\.?$/i.test(name) ? null : { name: plainName(name), below: star !== undefined };
}

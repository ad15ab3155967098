/** Connections that end where they may. What is checked is the very address that is connected to, so that no answer of DNS can change in between. */
import dns from 'node:dns';
import net, { type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { SheafError } from '../contracts/errors.ts';
import { isPublic, plainName, type AllowedHosts } from './addresses.ts';

export interface GuardOptions {
  allowed: AllowedHosts;
  /** `address:port` of DNS servers; default: the system's. */
  dnsServers?: string[];
  /** For connecting, its TLS handshake included. */
  connectMs: number;
}

const DNS_TRY_MS = 3_000;
const DNS_TRIES = 2;
/** What no DNS server knows: the name itself is not there, or has no address. */
const NOT_THERE = new Set(['ENOTFOUND', 'ENODATA', 'ENONAME', 'EBADNAME', 'EAI_NONAME', 'EAI_NODATA']);

const notAllowed = (): SheafError => new SheafError('url_not_allowed', 'The address leads into a private network, or to this machine', {
  remedy: 'Give an address on the public internet, or have the operator add the host to SHEAF_ALLOWED_HOSTS',
});

/**
 * The address as it will be called. Throws `url_invalid` for what is no http or https address or has a user or password in it,
 * and `url_not_allowed` where the address itself says that it leads inside; where a name leads is seen when it is connected to.
 */
export function checkedUrl(address: string, allowed: AllowedHosts): URL {
  // Numbers in every notation (decimal, octal, hexadecimal, fewer parts) become four parts here.
  const url = URL.parse(address.trim());
  if (url === null) throw new SheafError('url_invalid', 'This is no web address', { remedy: 'Give it in full, such as https://example.com/page' });
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new SheafError('url_invalid', 'Only http and https addresses are called', { remedy: 'Give an address that begins with https://' });
  }
  if (url.username !== '' || url.password !== '') {
    throw new SheafError('url_invalid', 'The address has a user or password in it, which would be stored with it', { remedy: 'Leave them out of the address' });
  }
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (net.isIP(literal) !== 0) assertAddress(literal, portOf(url), allowed);
  return url;
}

const portOf = ({ port, protocol }: Pick<URL, 'port' | 'protocol'>): number => (port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port));

function assertAddress(address: string, port: number, allowed: AllowedHosts): void {
  if (!isPublic(address) && !allowed.address(address, port)) throw notAllowed();
}

/** For undici's Agent. */
export function guardedConnector({ allowed, dnsServers, connectMs }: GuardOptions): buildConnector.connector {
  const resolver = new dns.promises.Resolver({ timeout: DNS_TRY_MS, tries: DNS_TRIES });
  if (dnsServers) resolver.setServers(dnsServers);

  /** Names of the operator's own, and of this machine, are the system's to know (its hosts file …); all others are asked of DNS, which holds no thread meanwhile. */
  const addressesOf = async (host: string, own: boolean): Promise<dns.LookupAddress[]> => {
    const name = plainName(host);
    if (own || !name.includes('.')) return dns.promises.lookup(name, { all: true });
    if (name.endsWith('.localhost')) return dns.promises.lookup('localhost', { all: true });
    const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = [four, six].flatMap((answer, at) => (answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family: at === 0 ? 4 : 6 })) : []));
    if (found.length === 0) throw [four, six].map((answer) => ('reason' in answer ? answer.reason as unknown : null)).find((reason) => !NOT_THERE.has(codeOf(reason))) ?? new NoAddress();
    return found;
  };

  const lookup = (port: number): LookupFunction => (host, options, callback) => {
    const own = allowed.name(host, port);
    void addressesOf(host, own).then(
      (found) => {
        const usable = found.filter(({ address }) => own || isPublic(address) || allowed.address(address, port));
        const [first] = usable;
        if (first === undefined) callback(notAllowed(), []);
        else if (options.all === true) callback(null, usable);
        else callback(null, first.address, first.family);
      },
      (error: unknown) => callback(unresolved(error), []),
    );
  };

  /** One a port: whether an address is allowed may depend on it. */
  const connectors = new Map<number, buildConnector.connector>();
  return (options, callback) => {
    const port = portOf({ port: options.port, protocol: options.protocol });
    try {
      if (net.isIP(options.hostname) !== 0) assertAddress(options.hostname, port, allowed);
    } catch (error) {
      callback(error as SheafError, null);
      return;
    }
    const connect = connectors.get(port) ?? buildConnector({ allowH2: false, timeout: connectMs, lookup: lookup(port), autoSelectFamily: true });
    connectors.set(port, connect);
    connect(options, callback);
  };
}

class NoAddress extends Error {}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

function unresolved(error: unknown): SheafError {
  if (error instanceof NoAddress || NOT_THERE.has(codeOf(error))) return new SheafError('dns_failed', 'The host name does not exist, or has no address', { remedy: 'Check how the address is spelled', cause: error });
  return new SheafError('dns_unavailable', 'DNS does not say where the host is', { remedy: 'Try again later', cause: error });
}

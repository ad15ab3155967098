/** A DNS server of the tests' own: answers what it is told, and remembers what it was asked. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import packet, { type Answer } from 'dns-packet';

export interface DnsServer {
  /** `address:port`, as `dns.setServers` takes it. */
  address: string;
  /** Addresses by name, or what to answer this time; a name that is not there does not exist, one with null gets a failure. */
  names: Map<string, string[] | null | (() => string[])>;
  /** Names of questions, one for A and one for AAAA each. */
  asked: string[];
  close(): Promise<void>;
}

const FAILED = 2;
const NO_NAME = 3;

export async function dnsServer(): Promise<DnsServer> {
  const socket = createSocket('udp4');
  const names: DnsServer['names'] = new Map();
  const asked: string[] = [];
  socket.on('message', (message, from) => {
    const { id, questions = [] } = packet.decode(message);
    const [question] = questions;
    if (!question) return;
    asked.push(`${question.name} ${question.type}`);
    const told = names.get(question.name.toLowerCase());
    const addresses = typeof told === 'function' ? told() : told;
    const answers = (addresses ?? []).flatMap((data): Answer[] => ((question.type === 'AAAA') === isIPv6(data) ? [{ type: isIPv6(data) ? 'AAAA' : 'A', name: question.name, ttl: 0, data }] : []));
    socket.send(packet.encode({ type: 'response', id, flags: packet.RECURSION_AVAILABLE | (told === undefined ? NO_NAME : told === null ? FAILED : 0), questions, answers }), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`, names, asked,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

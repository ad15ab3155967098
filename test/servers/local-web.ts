/** For tests whose servers are on this machine. */
import { readAllowedHosts } from '../../src/web/addresses.ts';
import { createWeb, type Web } from '../../src/web/web.ts';

export const localWeb = (dnsServers?: string[]): Web => createWeb({ allowed: readAllowedHosts('127.0.0.1'), ...(dnsServers && { dnsServers }) });

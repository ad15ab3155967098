/** A server that webhooks are sent to: checks every signature, and answers as it is told. */
import { Webhook } from 'standardwebhooks';
import { startSite, type Site, type SiteRequest } from './site/server.ts';

export interface Told {
  id: string;
  type: string;
  data: { [key: string]: unknown };
}

export interface Receiver {
  url: string;
  /** What was sent and signed rightly, answered with 2xx or not. */
  told: Told[];
  /** Statuses of the next answers; then 204. */
  statuses: number[];
  /** Of all answers, while it is set. */
  down: number | null;
  site: Site;
  close(): Promise<void>;
}

export async function startReceiver(secret: string): Promise<Receiver> {
  const verifier = new Webhook(secret, { format: 'raw' });
  const told: Told[] = [];
  const read = ({ headers, body }: SiteRequest): Told => ({ id: String(headers['webhook-id']), ...(verifier.verify(body, headers as Record<string, string>) as Omit<Told, 'id'>) });
  const receiver: Omit<Receiver, 'site' | 'url' | 'close'> = { told, statuses: [], down: null };
  const site = await startSite({
    '/hook': (request, response) => {
      told.push(read(request));
      response.writeHead(receiver.down ?? receiver.statuses.shift() ?? 204).end();
    },
  });
  return Object.assign(receiver, { site, url: `${site.url}/hook`, close: () => site.close() });
}

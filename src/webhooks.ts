/** Who is told of a job: the endpoints that its request names, and those that the operator gives its tenant (SHEAF_WEBHOOKS). */
import { z } from 'zod';
import { NAME_PATTERN } from './contracts/api.ts';
import type { JobRecord } from './contracts/job.ts';
import { DEFAULT_WEBHOOK_EVENTS, WEBHOOK_EVENTS, type WebhookEndpoint } from './contracts/webhooks.ts';
import { readSettingsFile } from './settings-file.ts';

const endpoint = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: 'is no http or https address' }),
  secret: z.string().min(1),
  events: z.array(z.enum(WEBHOOK_EVENTS)).min(1).default([...DEFAULT_WEBHOOK_EVENTS]),
});
const tenants = z.record(
  z.string().regex(NAME_PATTERN, 'expected the name of a tenant'),
  z.record(z.string().regex(/^[a-z0-9-]{1,40}$/, 'expected a name of lower-case letters, digits and "-"'), endpoint),
);

/** By tenant, then by name. */
export type TenantWebhooks = ReadonlyMap<string, ReadonlyMap<string, WebhookEndpoint>>;

/** `given`: a file (YAML or JSON) or its content: {tenant: {name: {url, secret, events?}}}. Throws an error whose message names the place. */
export function readTenantWebhooks(given: string | undefined): TenantWebhooks {
  return new Map(Object.entries(readSettingsFile(given, tenants)).map(([tenant, endpoints]) => [tenant, new Map(Object.entries(endpoints))]));
}

/** By name: `job-1`, `job-2` … are the request's own. */
export function endpointsOf(job: JobRecord, configured: TenantWebhooks): Map<string, WebhookEndpoint> {
  const own = job.kind === 'sheet' ? job.request.webhooks ?? [] : [];
  return new Map([
    ...own.map((one, index): [string, WebhookEndpoint] => [`job-${index + 1}`, one]),
    ...[...configured.get(job.tenant) ?? []].map(([name, one]): [string, WebhookEndpoint] => [`tenant-${name}`, one]),
  ]);
}

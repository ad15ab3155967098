/** What is asked of a service for a row: the options of `http`, checked. */
import { z } from 'zod';
import { SECRET_NAME } from '../contracts/api.ts';
import { LIMIT_NAME } from '../contracts/limits.ts';
import { JSON_POINTER } from '../domain/json-pointer.ts';

/** Set by Sheaf, or about the connection. */
const OWN_HEADERS = new Set(['host', 'content-length', 'connection', 'transfer-encoding', 'idempotency-key', 'webhook-id', 'webhook-timestamp', 'webhook-signature']);

const ADDRESS = /^https?:\/\/[^\s/?#@{}]+([/?][^\s#]*)?$/;

const pointer = z.string().max(500).regex(JSON_POINTER, 'expected a JSON pointer such as /data/url');
const headerName = z.string().regex(/^[A-Za-z0-9-]{1,100}$/, 'expected the name of a header').transform((name) => name.toLowerCase())
  .refine((name) => !OWN_HEADERS.has(name), 'this header is not yours to set');

const states = (names: string[]) => z.array(z.string().trim().min(1).max(100).transform((name) => name.toLowerCase())).min(1).max(50).default(names);

const later = z.strictObject({
  id: pointer.default('/id').describe('Where its first answer says what it calls the work'),
  state: pointer.default('/status').describe('Where its answers say how far the work is. A callback that says nothing there is the last word'),
  done: states(['done', 'completed', 'complete', 'succeeded', 'success', 'ready', 'finished']).describe('States in which the work is done'),
  failed: states(['failed', 'failure', 'error', 'cancelled', 'canceled', 'expired', 'rejected']).describe('States in which it never will be; in all others it goes on'),
  error: pointer.default('/error').describe('Where an answer says why it failed'),
  statusUrl: z.string().max(4096).regex(ADDRESS, 'expected an http or https address').optional()
    .describe('Address at which Sheaf asks how far the work is; `{{$id}}` stands for what the service calls it. Default: it is not asked, and calls back'),
  pollSeconds: z.number().min(1).max(3_600).default(30).describe('How often it is asked'),
  deadlineMinutes: z.number().min(0.05).max(43_200).default(1_440).describe('How long an answer is waited for'),
});

export const httpOptions = z.strictObject({
  url: z.string().max(4096).regex(ADDRESS, 'expected an http or https address; only what follows the host may hold {{Column}}')
    .describe("Address of the service. `{{Column}}` in path and query stands for the row's cell"),
  method: z.enum(['POST', 'PUT', 'PATCH', 'GET']).default('POST'),
  body: z.json().optional()
    .describe('JSON that is sent. `{{Column}}` in its texts stands for the cell; a text that is nothing else keeps the type of the cell. `{{$key}}`, `{{$row}}`, `{{$call}}` and `{{$callback}}` are the row\'s key, its number, the Idempotency-Key and the address to call back at. Default: {key, row, input, callback} with all columns'),
  headers: z.record(headerName, z.string().max(4096).regex(/^[\t\x20-\x7e]*$/, 'expected printable ASCII')).default({})
    .describe('Headers; `{{secret:NAME}}` in them stands for a secret of SHEAF_SECRETS that may be sent to this host'),
  signing: z.string().regex(SECRET_NAME, 'expected the name of a secret').optional()
    .describe('Secret of SHEAF_SECRETS that requests are signed with (Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature)'),
  output: z.record(z.string().min(1).max(200), pointer).optional()
    .describe('Column of the output → JSON pointer into the answer (`/data/url`). Default: the answer as it is'),
  cost: pointer.default('/cost').describe('Where the answer says what it cost'),
  tokens: pointer.default('/tokens').describe('Where the answer says how many tokens it took'),
  rowsPerRequest: z.int().min(1).max(1_000).default(1)
    .describe('More than 1: the body is {rows: [{id, body}]}, with `body` as above for each row, and the answer {rows: [{id, …}]}; `error` in an entry fails its row'),
  async: later.optional()
    .describe('The service may answer later: with 202, or with a state that is neither done nor failed. It then calls `{{$callback}}` back, signed with the secret of `signing`, or is asked at `statusUrl`'),
  timeoutSeconds: z.number().min(0.1).max(3_600).default(60).describe('How long one call may take'),
  concurrency: z.int().min(1).max(1_000).default(8).describe('Calls at once, unless the job says otherwise'),
  limits: z.array(z.string().regex(LIMIT_NAME, 'expected the name of a limit')).max(10).default([]).describe('Named limits of SHEAF_LIMITS that calls fall under'),
  version: z.string().max(100).default('').describe('Raised by you when the service would answer differently: every row is then handled anew'),
});

export type HttpOptions = z.output<typeof httpOptions>;

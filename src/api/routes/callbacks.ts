/** Where services call back about rows that they were given. */
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { callbackAnswer } from '../../contracts/callback-api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { CALLBACKS } from '../../temporal/callback-address.ts';
import { takeCallback } from '../callbacks.ts';
import { endpoint, reply } from '../endpoint.ts';

/** An answer is a few fields; what is large has an address. */
const MAX_BYTES = 256 * 1024;

const callBack = endpoint({
  method: 'post', path: `${CALLBACKS}/{token}`, id: 'callBack', tag: 'services',
  summary: 'What became of a row that a service was given',
  description: 'For the services that handler `http` calls: the address comes with the row. Signed as Standard Webhooks has it (webhook-id, webhook-timestamp, webhook-signature), at most 256 KB of JSON. '
    + 'May be repeated: the first answer that is the last word counts.',
  params: z.strictObject({ token: z.string().max(200) }),
  rawBody: ['application/json'],
  tenanted: false,
  answers: {
    200: { description: 'It is kept, or another was before', schema: callbackAnswer },
    202: { description: 'The work goes on', schema: callbackAnswer },
  },
  fails: ['callback_unknown', 'signature_invalid', 'invalid_request', 'body_too_large', 'store_unavailable'],
}, async ({ params, req }, deps) => {
  const state = await takeCallback(deps, params.token, req.headers, await readBody(req));
  return state === 'submitted' ? reply(202, { state }) : reply(200, { state });
});

async function readBody(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new SheafError('body_too_large', `The callback is larger than ${MAX_BYTES / 1024} KB.`, { remedy: 'Send an address of what is large.' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export const callbackEndpoints = [callBack];

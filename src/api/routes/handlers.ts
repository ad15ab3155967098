/** Handlers: what can be done to rows. */
import { z } from 'zod';
import { API_PREFIX } from '../../contracts/api.ts';
import { handlerAnswer } from '../../contracts/sheet-api.ts';
import { handlers } from '../../handlers/index.ts';
import { endpoint, reply } from '../endpoint.ts';

const list = endpoint({
  method: 'get', path: `${API_PREFIX}/handlers`, id: 'listHandlers', tag: 'Handlers', tenanted: false,
  summary: 'List handlers with the JSON schemas of their options',
  answers: { 200: { description: 'All handlers', schema: z.strictObject({ items: z.array(handlerAnswer), nextCursor: z.null() }) } },
}, async () => reply(200, {
  items: [...handlers.values()].map(({ name, summary, version, work, options }) => ({
    name, summary, version, work: typeof work === 'function' ? 'depends' as const : work,
    options: z.toJSONSchema(options, { io: 'input', unrepresentable: 'any' }) as z.infer<typeof handlerAnswer>['options'],
  })),
  nextCursor: null,
}));

export const handlerEndpoints = [list];

/**
 * What requests and answers of the HTTP API share. The server checks requests with these schemas and those beside them
 * (`…-api.ts`), the OpenAPI document is made of them, the CLI takes its types from them. A field that an answer marks
 * optional is left out when there is nothing to say; a field that is always there is null while unknown. Times are ISO 8601 in UTC.
 */
import { z } from 'zod';
import type { Json } from './row.ts';

export const API_PREFIX = '/api/v1';

/** Names of tenants and owners. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/;
export const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;
/** Names in SHEAF_SECRETS. */
export const SECRET_NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** Whatever stands here came from JSON, or goes there; only the type is narrowed. */
export const json = z.unknown() as z.ZodType<Json>;
export const jsonObject = z.record(z.string(), json);
export const count = z.int().min(0);
export const time = z.iso.datetime();

export const idParams = z.strictObject({ id: z.string().regex(ID_PATTERN).meta({ description: 'The id that its creation answered' }) });

export const idempotencyHeaders = z.looseObject({
  'idempotency-key': z.string().regex(/^[\x21-\x7e]{1,255}$/, 'expected 1 to 255 printable ASCII characters').exactOptional()
    .meta({ description: 'The same key again answers what it made instead of making another' }),
});

export const listQuery = {
  cursor: z.string().max(500).exactOptional().meta({ description: '`nextCursor` of the page before' }),
  limit: z.coerce.number().int().min(1).max(500).default(50).meta({ description: 'Entries in one answer' }),
};

export const listOf = <T extends z.ZodType>(item: T) =>
  z.strictObject({
    items: z.array(item),
    nextCursor: z.string().nullable().meta({ description: 'Null at the end' }),
  });

export const day = z.iso.date().or(z.iso.datetime({ offset: true }));

const place = z.strictObject({
  field: z.string().optional(),
  sheet: z.string().optional(),
  row: z.int().optional(),
  column: z.string().optional(),
  part: z.string().optional(),
});

export const errorAnswer = z.strictObject({ code: z.string(), message: z.string(), remedy: z.string().optional(), place: place.optional() });

export const healthAnswer = z.strictObject({ status: z.enum(['ok', 'down']) });

/** Every error: RFC 9457, `application/problem+json`. */
export const problemAnswer = z
  .strictObject({
    type: z.string().meta({ description: 'A URN made of the code' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What was wrong, and where' }),
    code: z.string().meta({ description: 'Stable; for programs' }),
    remedy: z.string().optional().meta({ description: 'What to do about it' }),
    place: place.optional(),
    instance: z.string().meta({ description: "This answer's id, which the server's log has too" }),
    errors: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional().meta({ description: 'Each field that was wrong' }),
    missing_parts: z.array(z.int()).optional().meta({ description: 'Of an upload that cannot be completed yet' }),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problemAnswer>;

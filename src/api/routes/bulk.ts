/** One action on all jobs that match a filter. */
import { z } from 'zod';
import { blobKeys } from '../../blobs/keys.ts';
import { API_PREFIX, idempotencyHeaders, idParams, listOf, listQuery } from '../../contracts/api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { bulkAnswer, bulkBody, bulkResultAnswer, type BulkAnswer, type BulkResultAnswer } from '../../contracts/plans-api.ts';
import type { BulkRecord } from '../../contracts/plans.ts';
import { canonicalJson, digest } from '../../domain/hashing.ts';
import { listed, numberPairCursor, readCursor } from '../../store/cursor.ts';
import { bulkOf } from '../../temporal/bulk.ts';
import { endpoint, reply } from '../endpoint.ts';

const tag = 'Jobs';
const bulk = `${API_PREFIX}/jobs/batch`;
const address = (id: string): string => `${bulk}/${id}`;

const bulkAnswerOf = ({ id, owner, action, filter, priority, retry, dryRun, state, counts, createdAt, completedAt }: BulkRecord): BulkAnswer => ({
  id, action, filter, ...(priority !== null && { priority }), ...(retry.codes !== null && { codes: retry.codes }), dryRun, state, counts, owner, createdAt, completedAt,
  links: { self: address(id), results: `${address(id)}/results` },
});

const create = endpoint({
  method: 'post', path: bulk, id: 'createBulkAction', tag,
  summary: 'Do something to all jobs that match a filter',
  description: 'Durably: it goes on through restarts, and every job has its result. Jobs made later are not touched.',
  headers: idempotencyHeaders,
  body: bulkBody,
  answers: {
    202: { description: 'It has begun', schema: bulkAnswer, headers: { Location: 'Its address' } },
    200: { description: 'The Idempotency-Key had begun this before', schema: bulkAnswer, headers: { Location: 'Its address' } },
  },
  fails: ['idempotency_conflict'],
}, async ({ tenant, owner, body, headers }, deps) => {
  const key = headers['idempotency-key'];
  const identity = key === undefined ? undefined : { id: digest(key), requestHash: digest(canonicalJson(body)) };
  const { bulk: record, created } = await deps.bulk.create({
    tenant, owner, action: body.action, filter: body.filter, priority: body.priority ?? null, retry: { codes: body.codes ?? null }, dryRun: body.dryRun, batch: null, after: null,
  }, identity);
  return reply(created ? 202 : 200, bulkAnswerOf(record), { Location: address(record.id) });
});

const list = endpoint({
  method: 'get', path: bulk, id: 'listBulkActions', tag,
  summary: 'List actions on many jobs, newest first',
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of them', schema: listOf(bulkAnswer) } },
  fails: ['invalid_cursor'],
}, async ({ tenant, query: { cursor, limit } }, { store }) => {
  const { items, nextCursor } = await store.listPlans(tenant, 'bulk', { limit, ...(cursor !== undefined && { cursor }) });
  return reply(200, { items: items.map(bulkAnswerOf), nextCursor });
});

const show = endpoint({
  method: 'get', path: `${bulk}/{id}`, id: 'getBulkAction', tag,
  summary: 'Show how far an action on many jobs is',
  params: idParams, answers: { 200: { description: 'The action', schema: bulkAnswer } }, fails: ['bulk_not_found'],
}, async ({ tenant, params }, { store }) => reply(200, bulkAnswerOf(await bulkOf(store, { tenant, id: params.id }))));

const results = endpoint({
  method: 'get', path: `${bulk}/{id}/results`, id: 'getBulkResults', tag,
  summary: 'What an action came to for each job so far',
  params: idParams,
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of results', schema: listOf(bulkResultAnswer) } },
  fails: ['bulk_not_found', 'invalid_cursor'],
}, async ({ tenant, params, query: { cursor, limit } }, { store, blobs }) => {
  const { id, chunks } = await bulkOf(store, { tenant, id: params.id });
  const found: { chunk: number; line: number; result: BulkResultAnswer }[] = [];
  let [chunk, after] = readCursor(cursor, numberPairCursor) ?? [0, -1];
  for (; chunk < chunks && found.length <= limit; chunk++, after = -1) {
    const content = await blobs.get(blobKeys.bulkResults(tenant, id, chunk)).catch((error: unknown) => {
      throw error instanceof SheafError && error.code === 'blob_not_found' ? new SheafError('bulk_not_found', `The results of ${id} were removed.`) : error;
    });
    const at = chunk;
    found.push(...content.toString().split('\n').filter(Boolean).map((text, line) => ({ chunk: at, line, result: JSON.parse(text) as BulkResultAnswer })).slice(after + 1));
  }
  const page = listed(found, limit, (one) => [one.chunk, one.line]);
  return reply(200, { items: page.items.map(({ result }) => result), nextCursor: page.nextCursor });
});

export const bulkEndpoints = [create, list, show, results];

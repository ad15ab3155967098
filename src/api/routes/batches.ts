/** Batches: many jobs made of a list, or of the tabs of a workbook, and steered as one. */
import { ulid } from 'ulid';
import { z } from 'zod';
import { blobKeys } from '../../blobs/keys.ts';
import { API_PREFIX, idempotencyHeaders, idParams, listOf, listQuery } from '../../contracts/api.ts';
import { batchAnswer, batchBody, type BatchAnswer } from '../../contracts/plans-api.ts';
import { CONTROLS } from '../../contracts/messages.ts';
import type { BatchControl, BatchRecord } from '../../contracts/plans.ts';
import { batchProgress, batchState } from '../../domain/batch-progress.ts';
import { digest } from '../../domain/hashing.ts';
import type { Store } from '../../store/store.ts';
import { batchOf } from '../../temporal/batches.ts';
import { endpoint, reply } from '../endpoint.ts';
import { membersOf } from '../new-batch.ts';

const tag = 'Batches';
const batches = `${API_PREFIX}/batches`;
const address = (id: string): string => `${batches}/${id}`;

async function batchAnswerOf(store: Store, batch: BatchRecord): Promise<BatchAnswer> {
  const { tenant, id, name, owner, size, made, createdAt } = batch;
  const totals = await store.batchTotals(tenant, id);
  const action = batch.action === null ? null : await store.getPlan(tenant, 'bulk', batch.action);
  return {
    id, ...(name !== null && { name }), tenant, owner, state: batchState(batch, totals), size, made, jobs: totals.jobs, progress: batchProgress(batch, totals),
    ...(action && { action: { id: action.id, action: action.action, state: action.state, counts: action.counts } }),
    createdAt, links: { self: address(id), jobs: `${API_PREFIX}/jobs?batch=${id}` },
  };
}

const create = endpoint({
  method: 'post', path: batches, id: 'createBatch', tag,
  summary: 'Make many jobs',
  description: 'Every job is checked first, and none is made where one is wrong. Long lists are made durably behind the answer.',
  headers: idempotencyHeaders,
  body: batchBody,
  bodyLimit: '32mb',
  answers: {
    201: { description: 'The batch', schema: batchAnswer, headers: { Location: "The batch's address" } },
    200: { description: 'The Idempotency-Key had made this batch before', schema: batchAnswer, headers: { Location: "The batch's address" } },
  },
  fails: [
    'batch_too_large', 'idempotency_conflict', 'dependency_cycle', 'unknown_dependency', 'upload_not_found', 'source_not_found', 'path_not_allowed',
    'sheet_not_found', 'unknown_handler', 'invalid_options',
  ],
}, async ({ tenant, owner, body, headers }, deps) => {
  const key = headers['idempotency-key'];
  const id = `bat_${key === undefined ? ulid().toLowerCase() : digest(key)}`;
  const { jobs, requestHash } = await membersOf(deps, tenant, owner, id, body);
  // The list first: the record says that it is there.
  const before = await deps.store.getPlan(tenant, 'batch', id);
  if (!before) await deps.blobs.put(blobKeys.batchJobs(tenant, id, requestHash), Buffer.from(jobs.map((job) => JSON.stringify(job)).join('\n')));
  const { batch, created } = await deps.batches.create({
    kind: 'batch', tenant, id, owner, name: body.name ?? null, size: jobs.length, made: 0, held: false, desired: 'running', action: null,
    createdAt: new Date().toISOString(), revision: 0, open: true, requestHash,
  });
  return reply(created ? 201 : 200, await batchAnswerOf(deps.store, await deps.batches.made(batch)), { Location: address(id) });
});

const list = endpoint({
  method: 'get', path: batches, id: 'listBatches', tag,
  summary: 'List batches, newest first',
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of batches', schema: listOf(batchAnswer) } },
  fails: ['invalid_cursor'],
}, async ({ tenant, query: { cursor, limit } }, { store }) => {
  const { items, nextCursor } = await store.listPlans(tenant, 'batch', { limit, ...(cursor !== undefined && { cursor }) });
  return reply(200, { items: await Promise.all(items.map((batch) => batchAnswerOf(store, batch))), nextCursor });
});

const show = endpoint({
  method: 'get', path: `${batches}/{id}`, id: 'getBatch', tag,
  summary: 'Show a batch', description: '`GET /jobs?batch=` lists its jobs.',
  params: idParams, answers: { 200: { description: 'The batch', schema: batchAnswer } }, fails: ['batch_not_found'],
}, async ({ tenant, params }, { store }) => reply(200, await batchAnswerOf(store, await batchOf(store, { tenant, id: params.id }))));

const CONTROL_TEXTS: Record<BatchControl, string> = {
  pause: 'Pause every job of a batch', resume: 'Resume every paused job of a batch',
  cancel: 'Cancel every job of a batch', retry: 'Run failed and remaining rows of a batch again',
};

const controls = ([...CONTROLS, 'retry'] as const).map((control) => endpoint({
  method: 'post', path: `${batches}/{id}/${control}`, id: `${control}Batch`, tag, summary: CONTROL_TEXTS[control],
  description: 'The last wish counts, also for jobs that are not made yet. `GET /jobs/batch/{action}/results` has what it came to for each job.',
  params: idParams,
  answers: {
    200: { description: 'Done', schema: batchAnswer },
    202: { description: 'Asked for durably; `action` says how far it is', schema: batchAnswer },
  },
  fails: ['batch_not_found', 'wrong_state'],
}, async ({ tenant, owner, params }, deps) => {
  const { batch, applied } = await deps.batches.control(tenant, params.id, owner, control);
  return reply(applied ? 200 : 202, await batchAnswerOf(deps.store, batch));
}));

export const batchEndpoints = [create, list, show, ...controls];

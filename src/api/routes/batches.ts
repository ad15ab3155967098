/** Batches: many jobs made of a list, of the tabs of a workbook, or of uploaded documents, and steered as one. */
import { ulid } from 'ulid';
import { z } from 'zod';
import { blobKeys } from '../../blobs/keys.ts';
import { API_PREFIX, idempotencyHeaders, idParams, listOf, listQuery } from '../../contracts/api.ts';
import { batchAnswer, batchBody, batchFileAnswer, batchRetryBody, FILE_OUTCOMES, type BatchAnswer } from '../../contracts/plans-api.ts';
import type { ErrorCode } from '../../contracts/errors.ts';
import { CONTROLS } from '../../contracts/messages.ts';
import type { BatchControl, BatchRecord } from '../../contracts/plans.ts';
import { batchProgress, batchState } from '../../domain/batch-progress.ts';
import { digest } from '../../domain/hashing.ts';
import type { Store } from '../../store/store.ts';
import { batchOf } from '../../temporal/batches.ts';
import type { ApiContext } from '../context.ts';
import { batchFiles, filesOf } from '../batch-files.ts';
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
    id, ...(name !== null && { name }), tenant, owner, state: batchState(batch, totals), size, made, jobs: totals.jobs, ...(batch.files && { files: batch.files }), progress: batchProgress(batch, totals),
    ...(action && { action: { id: action.id, action: action.action, state: action.state, counts: action.counts } }),
    createdAt, links: { self: address(id), jobs: `${API_PREFIX}/jobs?batch=${id}`, ...(batch.files && { files: `${address(id)}/files` }) },
  };
}

const create = endpoint({
  method: 'post', path: batches, id: 'createBatch', tag,
  summary: 'Make many jobs, or documents of many uploads',
  description: 'Every job is checked first, and none is made where one is wrong; of files, that each has arrived. Long lists are made durably behind the answer.',
  headers: idempotencyHeaders,
  body: batchBody,
  bodyLimit: '32mb',
  answers: {
    201: { description: 'The batch', schema: batchAnswer, headers: { Location: "The batch's address" } },
    200: { description: 'The Idempotency-Key had made this batch before', schema: batchAnswer, headers: { Location: "The batch's address" } },
  },
  fails: [
    'batch_too_large', 'idempotency_conflict', 'dependency_cycle', 'unknown_dependency', 'upload_not_found', 'source_not_found', 'path_not_allowed',
    'sheet_not_found', 'unknown_handler', 'invalid_options', 'parts_mismatch', 'wrong_state',
  ],
}, async ({ tenant, owner, body, headers }, deps) => {
  const key = headers['idempotency-key'];
  const id = `bat_${key === undefined ? ulid().toLowerCase() : digest(key)}`;
  const { members, requestHash } = await listed(deps, tenant, owner, id, body);
  // The list first: the record says that it is there.
  const before = await deps.store.getPlan(tenant, 'batch', id);
  if (!before) await deps.blobs.put(blobKeys.batchJobs(tenant, id, requestHash), Buffer.from(members.map((member) => JSON.stringify(member)).join('\n')));
  const { batch, created } = await deps.batches.create({
    kind: 'batch', tenant, id, owner, name: body.name ?? null, size: members.length, made: 0, held: false, desired: 'running', action: null,
    createdAt: new Date().toISOString(), revision: 0, open: true, requestHash, ...(body.files && { files: { duplicate: 0, refused: 0 } }),
  });
  return reply(created ? 201 : 200, await batchAnswerOf(deps.store, await deps.batches.made(batch)), { Location: address(id) });
});

async function listed(deps: ApiContext, tenant: string, owner: string, id: string, body: z.output<typeof batchBody>): Promise<{ members: object[]; requestHash: string }> {
  if (body.files) {
    const { files, requestHash } = await filesOf(deps, tenant, body.name, body.files);
    return { members: files, requestHash };
  }
  const { jobs, requestHash } = await membersOf(deps, tenant, owner, id, body);
  return { members: jobs, requestHash };
}

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
  summary: 'Show a batch', description: '`GET /jobs?batch=` lists its jobs, `/files` its files.',
  params: idParams, answers: { 200: { description: 'The batch', schema: batchAnswer } }, fails: ['batch_not_found'],
}, async ({ tenant, params }, { store }) => reply(200, await batchAnswerOf(store, await batchOf(store, { tenant, id: params.id }))));

const files = endpoint({
  method: 'get', path: `${batches}/{id}/files`, id: 'listBatchFiles', tag,
  summary: 'What has come of each file of a batch', description: 'In the order of the request; none where the batch is of jobs.',
  params: idParams,
  query: z.strictObject({ outcome: z.array(z.enum(FILE_OUTCOMES)).exactOptional().meta({ description: 'With one of these outcomes; repeated or with commas' }), ...listQuery }),
  answers: { 200: { description: 'A page of files', schema: listOf(batchFileAnswer) } },
  fails: ['batch_not_found', 'invalid_cursor'],
}, async ({ tenant, params, query: { outcome = [], cursor, limit } }, deps) => {
  const batch = await batchOf(deps.store, { tenant, id: params.id });
  return reply(200, await batchFiles(deps, batch, outcome, { limit, ...(cursor !== undefined && { cursor }) }));
});

const CONTROL_TEXTS: Record<BatchControl, string> = {
  pause: 'Pause every job of a batch', resume: 'Resume every paused job of a batch',
  cancel: 'Cancel every job of a batch', retry: 'Run failed and remaining rows, or failed documents, of a batch again',
};

const controlled = {
  description: 'The last wish counts, also for jobs that are not made yet. `GET /jobs/batch/{action}/results` has what it came to for each job.',
  params: idParams,
  answers: {
    200: { description: 'Done', schema: batchAnswer },
    202: { description: 'Asked for durably; `action` says how far it is', schema: batchAnswer },
  },
  fails: ['batch_not_found', 'wrong_state'] as ErrorCode[],
} as const;

const controlledReply = async ({ store }: ApiContext, { batch, applied }: { batch: BatchRecord; applied: boolean }) =>
  reply(applied ? 200 : 202, await batchAnswerOf(store, batch));

const controls = CONTROLS.map((control) => endpoint({
  method: 'post', path: `${batches}/{id}/${control}`, id: `${control}Batch`, tag, summary: CONTROL_TEXTS[control],
  ...controlled,
}, async ({ tenant, owner, params }, deps) => controlledReply(deps, await deps.batches.control(tenant, params.id, owner, control))));

const retry = endpoint({
  method: 'post', path: `${batches}/{id}/retry`, id: 'retryBatch', tag, summary: CONTROL_TEXTS.retry, ...controlled, body: batchRetryBody,
}, async ({ tenant, owner, params, body }, deps) => controlledReply(deps, await deps.batches.control(tenant, params.id, owner, 'retry', body.failed)));

export const batchEndpoints = [create, list, show, files, ...controls, retry];

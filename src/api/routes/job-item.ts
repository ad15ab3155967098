/** A single row of a job whose rows are workflows of their own: how it stands, and its controls. */
import { z } from 'zod';
import { API_PREFIX, idParams } from '../../contracts/api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { ITEM_CONTROLS, type ItemControl, type ItemStatus } from '../../contracts/items.ts';
import { itemChangeBody, itemJobAnswer, type ItemJobAnswer } from '../../contracts/items-api.ts';
import { isEnded, type SheetJobRecord } from '../../contracts/job.ts';
import type { OutcomeOrRemaining } from '../../contracts/row.ts';
import { wasAskedFor } from '../../domain/page-plan.ts';
import type { ItemAsked } from '../../temporal/items.ts';
import type { ApiContext } from '../context.ts';
import { endpoint, reply } from '../endpoint.ts';
import { findRow, type FoundRow } from '../job-rows.ts';
import { sheetJobOf } from './jobs.ts';

const tag = 'Jobs';
const address = `${API_PREFIX}/jobs/{id}/items/{row}`;
const params = idParams.extend({ row: z.coerce.number().int().min(1).meta({ description: 'As a spreadsheet program numbers it' }) });
const fails = ['job_not_found', 'wrong_state', 'not_found', 'not_ready'] as const;

interface Item {
  job: SheetJobRecord;
  found: FoundRow;
}

async function itemOf({ store, blobs }: ApiContext, tenant: string, id: string, row: number): Promise<Item> {
  const job = await sheetJobOf(store, tenant, id);
  if (job.request.fanOut !== 'workflow') {
    throw new SheafError('wrong_state', `The rows of job ${id} are handled in pages and have no life of their own.`, { remedy: 'Create the job with fanOut: workflow, or look at its items.' });
  }
  const found = await findRow({ store, blobs }, job, row);
  if (!found) throw new SheafError('not_found', `The sheet of job ${id} has no row ${row}.`, { remedy: `GET ${API_PREFIX}/jobs/${id}/items lists its rows.` });
  return { job, found };
}

const STATUSES: Record<Exclude<OutcomeOrRemaining, 'remaining'>, ItemStatus> = { done: 'completed', unchanged: 'completed', skipped: 'completed', failed: 'failed' };

async function answerOf({ items }: ApiContext, { job, found: { row } }: Item): Promise<ItemJobAnswer> {
  const names = { job: job.id, row: row.row, key: row.key, attempt: job.attempt };
  const known = {
    ...names, ...(row.state !== 'remaining' && { outcome: row.state }), ...(row.error && { error: { code: row.error.code, message: row.error.message } }),
  };
  const shown = await items.look(job, row.row);
  // One that let go of its row says `queued`, whatever became of the row since.
  if (shown && shown.status !== 'queued') {
    return {
      // While it is tried again, the page's result knows the outcome before.
      ...(row.state !== 'remaining' && sameEnd(STATUSES[row.state], shown.status) ? known : names), status: shown.status, priority: shown.priority, ...(shown.until !== null && { until: shown.until }),
      events: shown.events.map(({ at, status, reason }) => ({ at, status, ...(reason !== null && { reason }) })),
    };
  }
  const { state } = row;
  const stands = state !== 'remaining' && (isEnded(job.state) || !wasAskedFor({ ...row, state }, job.retry));
  if (stands) return { ...known, status: STATUSES[state], priority: job.priority, events: [] };
  if (isEnded(job.state)) return { ...known, status: 'cancelled', priority: job.priority, events: [] };
  return { ...names, ...((await items.asked(job, row.row)) ?? { status: 'queued', priority: job.priority }), events: [] };
}

const sameEnd = (counted: ItemStatus, shown: ItemStatus): boolean => counted === shown || (counted === 'failed' && shown === 'cancelled');

async function ask(deps: ApiContext, item: Item, asked: ItemAsked): Promise<ItemJobAnswer> {
  const { job, found: { row, page } } = item;
  if ('control' in asked && asked.control === 'retry') await mayRetry(deps, item);
  await deps.items.ask(job, row.row, page, asked);
  return answerOf(deps, await itemOf(deps, job.tenant, job.id, row.row));
}

async function mayRetry({ store, items }: ApiContext, { job, found: { row } }: Item): Promise<void> {
  const status = row.state === 'failed' ? 'failed' : (await items.look(job, row.row))?.status;
  if (status !== 'failed' && status !== 'cancelled') throw new SheafError('wrong_state', `Row ${row.row} of job ${job.id} has not failed.`);
  if (!isEnded(job.state)) return;
  const { done, unchanged, failed: failures, skipped } = await store.jobTotals(job.tenant, job.id, job.attempt);
  const remaining = (job.manifest?.rows ?? 0) - done - unchanged - failures - skipped;
  if (remaining > 0) throw new SheafError('wrong_state', `Job ${job.id} has ended with ${remaining} rows that it did not reach, which a retry runs as well.`, { remedy: '`sheaf job retry` takes up all of them.' });
}

const show = endpoint({
  method: 'get', path: address, id: 'getJobItem', tag,
  summary: 'Show a row that is a workflow of its own',
  description: 'Of a job with `fanOut: workflow`.',
  params,
  answers: { 200: { description: 'The row', schema: itemJobAnswer } },
  fails: [...fails],
}, async ({ tenant, params: { id, row } }, deps) => reply(200, await answerOf(deps, await itemOf(deps, tenant, id, row))));

const change = endpoint({
  method: 'patch', path: address, id: 'changeJobItem', tag,
  summary: "Change a single row's priority",
  params, body: itemChangeBody,
  answers: { 200: { description: 'The row as it is now', schema: itemJobAnswer } },
  fails: [...fails],
}, async ({ tenant, params: { id, row }, body }, deps) => reply(200, await ask(deps, await itemOf(deps, tenant, id, row), body)));

const SUMMARIES: Record<ItemControl, string> = {
  pause: 'Pause a single row', resume: 'Resume a single row', cancel: 'Cancel a single row: it fails with row_cancelled',
  retry: 'Try a single row that failed again',
};

const controls = ITEM_CONTROLS.map((control) => endpoint({
  method: 'post', path: `${address}/${control}`, id: `${control}JobItem`, tag, summary: SUMMARIES[control],
  ...(control === 'retry' && { description: 'While the job runs, in the same attempt; of a job that has ended, as a new attempt for this row alone.' }),
  params,
  answers: { 200: { description: 'The row as it is now', schema: itemJobAnswer } },
  fails: [...fails],
}, async ({ tenant, params: { id, row } }, deps) => reply(200, await ask(deps, await itemOf(deps, tenant, id, row), { control }))));

export const jobItemEndpoints = [show, change, ...controls];

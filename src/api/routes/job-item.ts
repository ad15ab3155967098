/** A single row of a job whose rows are workflows of their own: how it stands, and its controls. */
import { z } from 'zod';
import { API_PREFIX, idParams } from '../../contracts/api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { itemJobAnswer, type ItemJobAnswer } from '../../contracts/items-api.ts';
import { isEnded, type JobRecord } from '../../contracts/job.ts';
import { CONTROLS, type Control } from '../../contracts/messages.ts';
import type { ApiContext } from '../app.ts';
import { endpoint, reply } from '../endpoint.ts';
import { jobOf } from './jobs.ts';

const tag = 'Jobs';
const address = `${API_PREFIX}/jobs/{id}/items/{row}`;

const params = idParams.extend({ row: z.coerce.number().int().min(1).meta({ description: 'As a spreadsheet program numbers it' }) });

function fanned(job: JobRecord): JobRecord {
  if (job.kind === 'sheet' && job.request.fanOut === 'workflow') return job;
  throw new SheafError('wrong_state', `The rows of job ${job.id} are handled in pages and have no life of their own.`, { remedy: 'Create the job with fanOut: workflow, or look at its items.' });
}

async function answerOf({ items }: ApiContext, job: JobRecord, row: number): Promise<ItemJobAnswer> {
  const known = { job: job.id, row, attempt: job.attempt };
  const shown = await items.look(job, row);
  if (shown) {
    return {
      ...known, status: shown.status, priority: shown.priority, ...(shown.until !== null && { until: shown.until }),
      events: shown.events.map(({ at, status, reason }) => ({ at, status, ...(reason !== null && { reason }) })),
    };
  }
  if (isEnded(job.state)) throw new SheafError('not_found', `Row ${row} of job ${job.id} did not run in attempt ${job.attempt}.`, { remedy: 'Its outcome is among the items of the job.' });
  return { ...known, status: 'queued', priority: job.priority, events: [] };
}

const show = endpoint({
  method: 'get', path: address, id: 'getJobItem', tag,
  summary: 'Show a row that is a workflow of its own',
  description: 'Of a job with `fanOut: workflow`.',
  params,
  answers: { 200: { description: 'The row', schema: itemJobAnswer } },
  fails: ['job_not_found', 'wrong_state', 'not_found'],
}, async ({ tenant, params: { id, row } }, deps) => reply(200, await answerOf(deps, fanned(await jobOf(deps.store, tenant, id)), row)));

const SUMMARIES: Record<Control, string> = { pause: 'Pause a single row', resume: 'Resume a single row', cancel: 'Cancel a single row: it fails with row_cancelled' };

const controls = CONTROLS.map((control) => endpoint({
  method: 'post', path: `${address}/${control}`, id: `${control}JobItem`, tag, summary: SUMMARIES[control],
  params,
  answers: { 200: { description: 'The row as it is now', schema: itemJobAnswer } },
  fails: ['job_not_found', 'wrong_state', 'not_found'],
}, async ({ tenant, params: { id, row } }, deps) => {
  const job = fanned(await jobOf(deps.store, tenant, id));
  if (!(await deps.items.control(job, row, control))) {
    throw new SheafError('wrong_state', `Row ${row} of job ${id} does not run now; it cannot ${control}.`, { remedy: 'Only rows that were started and have not ended can be controlled.' });
  }
  return reply(200, await answerOf(deps, job, row));
}));

export const jobItemEndpoints = [show, ...controls];

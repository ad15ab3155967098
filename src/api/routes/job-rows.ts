/** What a job has to show for itself: its rows, as a list and as files, and its events. */
import { z } from 'zod';
import { API_PREFIX, idParams, listOf, listQuery } from '../../contracts/api.ts';
import { eventAnswer, fingerprint } from '../../contracts/job-api.ts';
import { errorGroupsAnswer, itemAnswer } from '../../contracts/items-api.ts';
import { endpoint, reply } from '../endpoint.ts';
import { listItems } from '../job-rows.ts';
import { RESULT_FORMATS, resultChunks, resultFileName } from '../results.ts';
import { fileHeaders, send } from '../send.ts';
import { jobOf, sheetJobOf } from './jobs.ts';

const tag = 'Results';
const jobs = `${API_PREFIX}/jobs`;

const states = z.array(z.enum(['done', 'unchanged', 'failed', 'skipped', 'remaining'])).exactOptional()
  .meta({ description: 'Rows in one of these states; repeated or with commas. Default: all' });

const items = endpoint({
  method: 'get', path: `${jobs}/{id}/items`, id: 'listJobItems', tag,
  summary: "List a job's rows with their outcomes",
  description: "In the sheet's order. Failed rows show as they happen, other outcomes when their page ends.",
  params: idParams,
  query: z.strictObject({
    state: states,
    code: z.string().min(1).max(200).exactOptional().meta({ description: 'Rows that failed with this code' }),
    fingerprint: fingerprint.exactOptional().meta({ description: 'Rows whose failure is of this group; in place of `code`' }),
    ...listQuery,
  }),
  answers: { 200: { description: 'A page of rows', schema: listOf(itemAnswer) } },
  fails: ['job_not_found', 'invalid_cursor'],
}, async ({ tenant, params, query }, deps) => {
  const job = await sheetJobOf(deps.store, tenant, params.id);
  return reply(200, await listItems(deps, job, { states: query.state, ...(query.code !== undefined && { code: query.code }), ...(query.fingerprint !== undefined && { fingerprint: query.fingerprint }) }, query.cursor, query.limit));
});

const errors = endpoint({
  method: 'get', path: `${jobs}/{id}/errors`, id: 'listJobErrors', tag,
  summary: 'Failed rows, grouped by what their failures have in common',
  description: 'The largest group first. Mend the cause, then `POST /jobs/{id}/retry {fingerprints: […]}` takes the rows of a group again. `GET /jobs/{id}/items?fingerprint=` lists them.',
  params: idParams,
  query: z.strictObject({ limit: z.coerce.number().int().min(1).max(500).default(50).meta({ description: 'Groups in the answer' }) }),
  answers: { 200: { description: 'The groups, each with its lowest row as an example', schema: errorGroupsAnswer } },
  fails: ['job_not_found'],
}, async ({ tenant, params, query: { limit } }, { store }) => {
  const job = await sheetJobOf(store, tenant, params.id);
  const groups = await store.groupFailedRows(tenant, job.id, limit + 1);
  const found = await Promise.all(groups.slice(0, limit).map(async ({ fingerprint: group, rows }) => {
    const [example] = (await store.listFailedRows(tenant, job.id, { fingerprint: group }, { limit: 1 })).items;
    return example ? [{ fingerprint: group, code: example.error.code, rows, example }] : []; // retried meanwhile
  }));
  return reply(200, { items: found.flat(), more: groups.length > limit });
});

const events = endpoint({
  method: 'get', path: `${jobs}/{id}/events`, id: 'listJobEvents', tag,
  summary: "List a job's events, oldest first",
  description: 'The newest 1,000 are kept.',
  params: idParams,
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of events', schema: listOf(eventAnswer) } },
  fails: ['job_not_found', 'invalid_cursor'],
}, async ({ tenant, params, query: { cursor, limit } }, { store }) => {
  const job = await jobOf(store, tenant, params.id);
  return reply(200, await store.listEvents(tenant, job.id, { limit, ...(cursor !== undefined && { cursor }) }));
});

const results = endpoint({
  method: 'get', path: `${jobs}/{id}/results`, id: 'getJobResults', tag,
  summary: "Download a job's results",
  description: 'Streamed in the order of the sheet; while the job runs, what there is so far, the other rows as `remaining`. '
    + "NDJSON: a line a row, `{row, key, state, input, output, error?}`. CSV and XLSX: the sheet's columns, the output's, `row`, `state`, `error_code`, `error_message`.",
  params: idParams,
  query: z.strictObject({
    format: z.enum(['ndjson', 'csv', 'xlsx']).default('ndjson'),
    state: states,
    escape: z.enum(['true', 'false']).default('true').meta({
      description: 'CSV: `true` for spreadsheet programs (byte order mark; an apostrophe before cells that they would run as a formula), `false` for the cells as they are',
    }),
  }),
  answers: { 200: { description: 'The file', content: Object.values(RESULT_FORMATS), headers: { 'Content-Disposition': 'A name for the file' } } },
  fails: ['job_not_found', 'not_ready'],
}, async ({ tenant, params, query, res, signal }, deps) => {
  const job = await sheetJobOf(deps.store, tenant, params.id);
  const asked = { format: query.format, states: query.state, escape: query.escape === 'true' };
  await send(res, fileHeaders(RESULT_FORMATS[query.format], resultFileName(job, query.format)), resultChunks(deps, job, asked, signal), signal);
  return 'sent';
});

export const jobRowEndpoints = [items, errors, events, results];

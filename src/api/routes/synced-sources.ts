/** Sources that keep themselves in sync, their versions, and what is stored of them. */
import { z } from 'zod';
import { API_PREFIX, listOf, listQuery } from '../../contracts/api.ts';
import { jobAnswer } from '../../contracts/job-api.ts';
import {
  appliedAnswer, dataQuery, diffQuery, putSourceQuery, rollbackBody, sourceAnswer, sourceDefinitionBody, sourceParams, sourcesCleanupAnswer, sourcesCleanupBody, syncBody, versionAnswer,
} from '../../contracts/source-api.ts';
import { SheafError } from '../../contracts/errors.ts';
import type { SourceDefinition } from '../../contracts/source.ts';
import { endpoint, reply } from '../endpoint.ts';
import { jobAddress, wholeJobAnswer } from '../job-answer.ts';
import { newJob } from '../new-job.ts';
import { fileHeaders, send } from '../send.ts';
import { changedFields, sourceAnswerOf, versionAnswerOf } from '../source-answer.ts';
import { dataChunks, diffChunks } from '../version-rows.ts';

const tag = 'Sources';
const sources = `${API_PREFIX}/sources`;
const one = `${sources}/{id}`;
const params = sourceParams;

const list = endpoint({
  method: 'get', path: sources, id: 'listSources', tag, summary: 'List sources by id',
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of sources', schema: listOf(sourceAnswer) } }, fails: ['invalid_cursor'],
}, async ({ tenant, query: { cursor, limit } }, { store }) => {
  const { items, nextCursor } = await store.listSources(tenant, { limit, ...(cursor !== undefined && { cursor }) });
  return reply(200, { items: items.map((source) => sourceAnswerOf(source)), nextCursor });
});

const put = endpoint({
  method: 'put', path: one, id: 'putSource', tag, summary: 'Define a source, and its schedule',
  description: 'The same again changes nothing. Whether the sheet is there is found out when it is fetched.',
  params, query: putSourceQuery, body: sourceDefinitionBody,
  answers: { 200: { description: 'The source', schema: appliedAnswer } },
  fails: ['unknown_handler', 'invalid_options', 'invalid_schedule', 'temporal_unavailable', 'wrong_state', 'conflict'],
}, async ({ tenant, owner, params: { id }, query, body }, deps) => {
  const { name, description, versioning, fetch, schedule, enabled, deletes, keepVersions, set, environment, scheduled, indexPrefix, ...job } = body;
  const { SHEAF_STORE, SHEAF_ELASTICSEARCH_PREFIX } = deps.config;
  if (indexPrefix !== undefined && SHEAF_STORE === 'elasticsearch' && indexPrefix !== SHEAF_ELASTICSEARCH_PREFIX) {
    throw new SheafError('wrong_state', `This installation keeps its indices under "${SHEAF_ELASTICSEARCH_PREFIX}", not under "${indexPrefix}".`, { remedy: 'It may be that of another environment: check the endpoint.' });
  }
  const definition: SourceDefinition = {
    name, description, versioning, fetch, schedule, enabled, deletes, keepVersions, set, environment,
    job: await newJob(deps, tenant, owner, { ...job, sourceId: id, force: false, dependsOn: [], onFailure: 'run' }, { mustExist: false }),
  };
  const before = await deps.store.getSource(tenant, id);
  const fields = before === null ? [] : changedFields(before.definition, definition);
  if (before !== null && scheduled !== undefined && scheduled !== before.scheduled) fields.push('scheduled');
  const changed = before === null ? 'created' : fields.length > 0 ? 'updated' : 'unchanged';
  if (query.dryRun === 'true') return reply(200, { source: before && sourceAnswerOf(before), changed, fields });
  const { source } = await deps.sources.put(tenant, owner, id, { definition, scheduled: scheduled ?? null });
  return reply(200, { source: sourceAnswerOf(source, await deps.sources.clock(source)), changed, fields });
});

const show = endpoint({
  method: 'get', path: one, id: 'getSource', tag, summary: 'Show a source', params,
  answers: { 200: { description: 'The source', schema: sourceAnswer } }, fails: ['sync_source_not_found'],
}, async ({ tenant, params: { id } }, deps) => {
  const source = await deps.sources.get(tenant, id);
  return reply(200, sourceAnswerOf(source, await deps.sources.clock(source)));
});

const remove = endpoint({
  method: 'delete', path: one, id: 'deleteSource', tag, summary: 'Delete a source',
  description: 'With its schedule, its versions and all rows that are stored of it. Jobs are cancelled; their records stay. It answers until it is gone.', params,
  answers: { 202: { description: 'It will be gone soon', schema: sourceAnswer } }, fails: ['sync_source_not_found', 'temporal_unavailable'],
}, async ({ tenant, params: { id } }, deps) => reply(202, sourceAnswerOf(await deps.sources.remove(tenant, id))));

const sync = endpoint({
  method: 'post', path: `${one}/sync`, id: 'syncSource', tag, summary: 'Fetch a source now, and bring what is stored up to date', params, body: syncBody,
  answers: { 202: { description: 'The job that does it', schema: jobAnswer, headers: { Location: "The job's address" } } }, fails: ['sync_source_not_found', 'wrong_state'],
}, async ({ tenant, params: { id }, body, res }, deps) => {
  const job = await deps.sources.sync(tenant, id, { ...body, rollback: null });
  res.locals.job = job.id; // for the log
  return reply(202, await wholeJobAnswer(deps, job), { Location: jobAddress(job.id) });
});

const rollback = endpoint({
  method: 'post', path: `${one}/rollback`, id: 'rollbackSource', tag, summary: 'Make an earlier version the current one',
  description: 'Rows whose outcome the ledger still has cost nothing. A sync takes the version that was rolled back only once the sheet has changed.', params, body: rollbackBody,
  answers: { 202: { description: 'The job that does it', schema: jobAnswer, headers: { Location: "The job's address" } } }, fails: ['sync_source_not_found', 'version_not_found', 'wrong_state'],
}, async ({ tenant, params: { id }, body, res }, deps) => {
  const source = await deps.sources.get(tenant, id);
  const version = await deps.sources.version(tenant, id, body.to);
  if (version.sequence === source.current) throw new SheafError('wrong_state', `Version ${version.sequence} is the current one.`);
  if (version.state !== 'completed' && version.state !== 'rolled_back') throw new SheafError('wrong_state', `Version ${version.sequence} is ${version.state}; it never was the current one.`);
  const job = await deps.sources.sync(tenant, id, { force: false, after: [], rollback: version.sequence });
  res.locals.job = job.id; // for the log
  return reply(202, await wholeJobAnswer(deps, job), { Location: jobAddress(job.id) });
});

const versions = endpoint({
  method: 'get', path: `${one}/versions`, id: 'listSourceVersions', tag, summary: "List a source's versions, newest first", params,
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of versions', schema: listOf(versionAnswer) } }, fails: ['sync_source_not_found', 'invalid_cursor'],
}, async ({ tenant, params: { id }, query: { cursor, limit } }, deps) => {
  const source = await deps.sources.get(tenant, id);
  const { items, nextCursor } = await deps.store.listVersions(tenant, id, { limit, ...(cursor !== undefined && { cursor }) });
  return reply(200, { items: items.map((version) => versionAnswerOf(source, version)), nextCursor });
});

const NDJSON = 'application/x-ndjson';

const diff = endpoint({
  method: 'get', path: `${one}/diff`, id: 'diffSourceVersions', tag, summary: 'What one version has and another has not',
  description: 'A line of JSON for each row that was added, removed, changed (`cells` that differ) or moved, `{change, key, before, after, cells?}`; `before` and `after` are row numbers. '
    + 'Rows are told apart by their key columns; without any by what stands in them, so that an inserted row changes no other.', params, query: diffQuery,
  answers: { 200: { description: 'The differences', content: [NDJSON] } }, fails: ['sync_source_not_found', 'version_not_found', 'not_ready'],
}, async ({ tenant, params: { id }, query, res, signal }, deps) => {
  const source = await deps.sources.get(tenant, id);
  const to = await deps.sources.version(tenant, id, query.to ?? named(source.id, source.current));
  const from = query.from ?? (to.base === null ? null : String(to.base));
  await send(res, fileHeaders(NDJSON, `${id}-diff.ndjson`), diffChunks(deps, from === null ? null : await deps.sources.version(tenant, id, from), to, signal), signal);
  return 'sent';
});

const data = endpoint({
  method: 'get', path: `${one}/data`, id: 'getSourceData', tag, summary: 'What is stored of a source',
  description: "Of its current version, or any that is kept, in the sheet's order. NDJSON: a line a row, `{row, key, state, input, output, error?}`.", params, query: dataQuery,
  answers: { 200: { description: 'The rows', content: [NDJSON, 'text/csv; charset=utf-8'] } }, fails: ['sync_source_not_found', 'version_not_found', 'not_ready'],
}, async ({ tenant, params: { id }, query, res, signal }, deps) => {
  const source = await deps.sources.get(tenant, id);
  const version = await deps.sources.version(tenant, id, query.version ?? named(source.id, source.current));
  const asked = { format: query.format, limit: query.limit ?? Infinity, escape: query.escape === 'true' };
  await send(res, fileHeaders(query.format === 'csv' ? 'text/csv; charset=utf-8' : NDJSON, `${id}.${query.format}`), dataChunks(deps, version, asked, signal), signal);
  return 'sent';
});

/** Before the first version there is nothing to show. */
function named(id: string, current: number | null): string {
  if (current === null) throw new SheafError('not_ready', `Source ${id} has no version yet.`, { remedy: '`sheaf sync process` fetches it.' });
  return String(current);
}

const cleanUp = endpoint({
  method: 'post', path: `${sources}/cleanup`, id: 'cleanUpSources', tag, summary: 'Remove old jobs of sources, and versions beyond what they keep',
  description: 'Jobs that ended longer ago; the newest of each source stays. A schedule does the same every night.', body: sourcesCleanupBody,
  answers: { 200: { description: 'What went, or would go', schema: sourcesCleanupAnswer } }, fails: ['temporal_unavailable'],
}, async ({ tenant, body }, deps) => reply(200, await deps.sources.cleanUp({ tenant, ...body })));

export const syncedSourceEndpoints = [cleanUp, list, put, show, remove, sync, rollback, versions, diff, data];

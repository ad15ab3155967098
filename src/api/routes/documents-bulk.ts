/** Many documents at once, durably: old ones deleted, or all that a filter finds done again. */
import { API_PREFIX, idParams } from '../../contracts/api.ts';
import { bulkAnswer, bulkStartedAnswer, cleanupBody, reprocessAllBody } from '../../contracts/documents-bulk-api.ts';
import type { BulkReport } from '../../contracts/document-messages.ts';
import { SheafError } from '../../contracts/errors.ts';
import { optionsAsked } from '../document-answer.ts';
import { endpoint, reply } from '../endpoint.ts';

const tag = 'Documents';
const bulk = `${API_PREFIX}/documents/bulk`;
const DAY_MS = 86_400_000;

const started = (id: string) => ({ id, links: { report: `${bulk}/${id}` } });

const cleanup = endpoint({
  method: 'post', path: `${bulk}/cleanup`, id: 'cleanupDocuments', tag,
  summary: 'Delete documents by age, tag and state',
  body: cleanupBody,
  answers: { 202: { description: 'It has begun', schema: bulkStartedAnswer } },
  fails: ['temporal_unavailable'],
}, async ({ tenant, body: { older_than_days, dry_run, ...filter } }, { documents }) => {
  const before = new Date(Date.now() - older_than_days * DAY_MS).toISOString();
  return reply(202, started(await documents.bulk(tenant, { filter: { ...filter, before }, dryRun: dry_run, reprocess: null })));
});

const reprocess = endpoint({
  method: 'post', path: `${bulk}/reprocess`, id: 'reprocessDocuments', tag,
  summary: 'Do all documents again that a filter finds',
  description: 'From a stage on, without uploading or extracting again what is before it. Those that are in work are left out.',
  body: reprocessAllBody,
  answers: { 202: { description: 'It has begun', schema: bulkStartedAnswer } },
  fails: ['temporal_unavailable'],
}, async ({ tenant, body: { from, options, dry_run, document_key, ...filter } }, { documents }) => {
  const asked = options === undefined ? null : optionsAsked('Body', options).options;
  const reprocessed = { from: from ?? null, options: asked };
  const whole = { before: new Date().toISOString(), ...filter, ...(document_key !== undefined && { documentKey: document_key }) };
  return reply(202, started(await documents.bulk(tenant, { filter: whole, dryRun: dry_run, reprocess: reprocessed })));
});

const report = endpoint({
  method: 'get', path: `${bulk}/{id}`, id: 'getBulkReport', tag,
  summary: 'Show how far it is, and at the end what was done',
  params: idParams,
  answers: { 200: { description: 'The report so far', schema: bulkAnswer } },
  fails: ['not_found', 'temporal_unavailable'],
}, async ({ tenant, params }, { documents }) => {
  const found = await documents.bulkReport(tenant, params.id);
  if (found === null) throw new SheafError('not_found', `Nothing is known of ${params.id}.`, { remedy: 'Reports are kept for as long as Temporal remembers ended workflows.' });
  return reply(200, answerOf(params.id, found));
});

const answerOf = (id: string, { documents, ...counts }: BulkReport) => ({ id, ...counts, document_ids: documents });

export const documentBulkEndpoints = [cleanup, reprocess, report];

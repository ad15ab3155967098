/** Cleanup of what has been kept long enough: started by hand, and what it removed. */
import { API_PREFIX, idParams } from '../../contracts/api.ts';
import { cleanupAnswer, type CleanupAnswer, cleanupBody } from '../../contracts/system-api.ts';
import { SheafError } from '../../contracts/errors.ts';
import type { CleanupReport } from '../../contracts/system.ts';
import { z } from 'zod';
import { endpoint, reply } from '../endpoint.ts';

const tag = 'System';
const cleanups = `${API_PREFIX}/system/cleanup`;

const answerOf = ({ step: _step, position: _position, ...report }: CleanupReport): CleanupAnswer => report;

const start = endpoint({
  method: 'post', path: cleanups, id: 'startCleanup', tag, tenanted: false,
  summary: 'Remove what has been kept long enough, now',
  description: 'Of all tenants, as the configuration says (`SHEAF_KEEP_…`); a schedule does the same every day.',
  body: cleanupBody,
  answers: { 202: { description: 'It was started; its report says how far it is', schema: cleanupAnswer, headers: { Location: "The report's address" } } },
  fails: ['temporal_unavailable'],
}, async ({ body }, { startCleanup }) => {
  const report = await startCleanup(body.dryRun);
  return reply(202, answerOf(report), { Location: `${cleanups}/${report.id}` });
});

const list = endpoint({
  method: 'get', path: cleanups, id: 'listCleanups', tag, tenanted: false,
  summary: 'Reports of cleanups, the newest first',
  answers: { 200: { description: 'At most 100', schema: z.strictObject({ items: z.array(cleanupAnswer) }) } },
}, async (_call, { store }) => reply(200, { items: (await store.listCleanups()).map(answerOf) }));

const show = endpoint({
  method: 'get', path: `${cleanups}/{id}`, id: 'getCleanup', tag, tenanted: false,
  summary: 'What a cleanup removed, or would',
  params: idParams,
  answers: { 200: { description: 'The report', schema: cleanupAnswer } },
  fails: ['cleanup_not_found'],
}, async ({ params }, { store }) => {
  const report = await store.getCleanup(params.id);
  if (!report) throw new SheafError('cleanup_not_found', `There is no cleanup ${params.id}.`, { remedy: `GET ${cleanups} lists the newest 100.` });
  return reply(200, answerOf(report));
});

export const cleanupEndpoints = [start, list, show];

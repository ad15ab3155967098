/** Sources through the command line on a whole stack: a Hebrew file from end to end, and syncs whose parts are killed. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { ItemAnswer } from '../../src/contracts/items-api.ts';
import type { SourceAnswer, VersionAnswer } from '../../src/contracts/source-api.ts';
import { PARTS, startTestStack, type TestStack } from '../servers/stack.ts';
import { ended, until } from './kill-round.ts';

const TIMEOUT = { timeout: 240_000 };
const SHEAF = fileURLToPath(new URL('../../bin/sheaf.mjs', import.meta.url));

let stack: TestStack;
beforeAll(async () => { stack = await startTestStack(); });
afterAll(() => stack?.stop());
beforeEach(() => { onTestFailed(async () => console.log(await stack.logs())); });
afterEach(() => stack.startMissing());

/** What it prints, and its exit code. */
async function sheaf(...given: string[]): Promise<{ out: string; code: number }> {
  const env = { ...stack.env, SHEAF_API_URL: stack.url } as NodeJS.ProcessEnv;
  return promisify(execFile)(process.execPath, [SHEAF, 'sync', ...given], { env, maxBuffer: 1 << 26 })
    .then(({ stdout }) => ({ out: stdout, code: 0 }), (error: { stdout: string; code: number }) => ({ out: error.stdout, code: error.code }));
}
const json = async <T>(...given: string[]): Promise<T> => JSON.parse((await sheaf(...given, '--json')).out) as T;

test('a Hebrew configuration and sheet go all the way, and one source that fails touches no other', TIMEOUT, async () => {
  const file = path.join(stack.folder, 'הגדרות.yaml');
  const sheet = path.join(stack.folder, 'תושבע.csv');
  await writeFile(sheet, 'מזהה,שאלה\n1,מהו קוורום?\n2,מי יושב ראש?\n');
  await writeFile(file, `
- id: oral-knowledge-spreadsheet
  name: "ידע שבעל פה"
  type: spreadsheet
  spreadsheet_config: {path: תושבע.csv}
  key_columns: [מזהה]
  fetch_interval: 3600
  priority: 1
  tags: [משפטי, ידע-בעל-פה]
- {id: missing, spreadsheet_config: {path: אין.csv}, tags: [משפטי]}
`);
  expect((await sheaf('apply', file)).code).toBe(0);
  expect((await sheaf('process', file, '--tags', 'משפטי', '--max-workers', '5', '--wait')).code).toBe(1);
  const report = await json<{ total_sources: number; successful: number; failed: number; details: { source_id: string; task_id: string }[] }>('report', file);
  expect(report).toMatchObject({ total_sources: 2, successful: 1, failed: 1 });
  expect((await sheaf('report', file, '--format', 'markdown')).out).toContain('| missing | failed |');
  expect(await json('status', file, '--task-id', report.details[0]!.task_id)).toMatchObject({ tasks: [{ source_id: 'oral-knowledge-spreadsheet', status: 'completed', result: { rows: 2, done: 2 } }] });

  await writeFile(sheet, 'שאלה,מזהה\nמהו קוורום?,1\nמי יושב ראש הכנסת?,2\n');
  expect((await sheaf('process', file, '--source-ids', 'oral-knowledge-spreadsheet', '--wait')).code).toBe(0);
  const { items } = await json<{ items: ItemAnswer[] }>('data', 'oral-knowledge-spreadsheet', '--limit', '10');
  expect(items.map(({ key, input }) => [key, input['שאלה']])).toEqual([['1', 'מהו קוורום?'], ['2', 'מי יושב ראש הכנסת?']]);
  const { items: [now, before] } = await json<{ items: VersionAnswer[] }>('versions', 'oral-knowledge-spreadsheet');
  expect(now).toMatchObject({ counts: { added: 0, changed: 1, moved: 0, removed: 0 }, current: true });
  expect((await sheaf('data', 'oral-knowledge-spreadsheet', '--content-hash', before!.hash, '--format', 'csv')).out).toContain('מי יושב ראש?');
  expect((await sheaf('diff-versions', 'oral-knowledge-spreadsheet')).out).toContain('"מי יושב ראש?" → "מי יושב ראש הכנסת?"');
  expect((await stack.call<{ items: { key: string }[] }>('GET', `/search?q=${encodeURIComponent('כנסת')}`)).items).toMatchObject([{ key: '2' }]);
  expect((await sheaf('process', file, '--source-ids', 'oral-knowlege-spreadsheet')).code).toBe(2);

  // Half of the rows would go, which only a person can want: nobody waits for that for ever.
  await writeFile(sheet, 'מזהה,שאלה\n1,מהו קוורום?\n');
  const asking = await sheaf('process', file, '--source-ids', 'oral-knowledge-spreadsheet', '--wait', '--json');
  expect(asking.code).toBe(1);
  expect(JSON.parse(asking.out)).toMatchObject({ tasks: [{ status: 'processing', state: 'waiting', error: expect.stringContaining('sheaf job approve') as string }] });
});

test('a sync that is killed again and again ends with the version that the sheet has, and asks where it asked', TIMEOUT, async () => {
  const sheet = path.join(stack.folder, 'killed.csv');
  const write = (rows: number, word: string) => writeFile(sheet, `id,word\n${Array.from({ length: rows }, (_, index) => `${index + 1},${word} ${index + 1}\n`).join('')}`);
  const source = (): Promise<SourceAnswer> => stack.call('GET', '/sources/killed');
  await stack.call('PUT', '/sources/killed', { source: { path: sheet }, keyColumns: ['id'] });
  for (const [victim, word] of [['worker', 'one'], ['temporal', 'two']] as const) {
    await write(20_000, word);
    const job = await stack.call<JobAnswer>('POST', '/sources/killed/sync', {});
    await until('it to run', async () => (await stack.job(job.id)).state !== 'queued');
    await stack.kill(victim);
    await stack.start(victim);
    expect(await ended(stack, job.id)).toMatchObject({ state: 'completed', progress: { done: 20_000 } });
  }
  expect(await source()).toMatchObject({ current: 2 });

  await write(5_000, 'two');
  const asking = await stack.call<JobAnswer>('POST', '/sources/killed/sync', {});
  await until('it to ask', async () => (await stack.job(asking.id)).cause === 'approval');
  await Promise.all(PARTS.map((part) => stack.kill(part)));
  await stack.startMissing();
  expect(await stack.job(asking.id)).toMatchObject({ state: 'waiting', cause: 'approval' });
  expect(await source()).toMatchObject({ current: 2 });
  await stack.call('POST', `/jobs/${asking.id}/approve`);
  await until('it to be approved', async () => (await stack.job(asking.id)).cause !== 'approval');
  await stack.kill('worker');
  await stack.start('worker');
  expect(await ended(stack, asking.id)).toMatchObject({ state: 'completed', progress: { unchanged: 5_000 } });
  expect(await source()).toMatchObject({ current: 3 });
  const { items } = await stack.call<{ items: VersionAnswer[] }>('GET', '/sources/killed/versions');
  expect(items.map(({ state, counts }) => [state, counts.added, counts.changed, counts.removed])).toEqual([
    ['completed', 0, 0, 15_000], ['completed', 0, 20_000, 0], ['completed', 20_000, 0, 0],
  ]);
  expect((await stack.call<{ items: object[] }>('GET', '/search?q=20000')).items).toEqual([]);
});

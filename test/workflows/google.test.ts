/** Jobs on Google Sheets, with real Temporal and a server that speaks Google's protocol. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { JobRequest } from '../../src/contracts/job.ts';
import type { Value } from '../servers/google/grid.ts';
import { BOT, readyGoogle, SPREADSHEET, type ReadyGoogle } from '../servers/google/ready.ts';
import { door } from './fakes.ts';
import { blobsOf, openRig, type Rig } from './rig.ts';

let google: ReadyGoogle;
let rig: Rig;
beforeAll(async () => {
  google = await readyGoogle();
  const plenty = { perUser: false, perProject: false };
  rig = await openRig({ google, namedLimits: JSON.stringify({ 'google-sheets': plenty, 'google-sheets-writes': plenty }) });
  await rig.startWorkers();
});
afterEach(() => rig.replayAll());
afterAll(async () => {
  await rig?.close();
  await google?.close();
});

const job = (request: Partial<JobRequest> = {}) => rig.onSheet({ location: { spreadsheet: SPREADSHEET, credentials: 'bot' }, fileName: 'Google Sheet', ...request });

test('a job on a Google Sheet ends with every row done, and its results', async () => {
  google.book('Orders', [['id', 'name'], ['a', 'שלום'], ['b', 2], ['c', true]]);
  const { id } = await job({ keyColumns: ['id'] });
  expect(await rig.ended(id)).toMatchObject({ state: 'completed', source: expect.stringMatching(/^google:/), manifest: { rows: 3, keyColumns: ['id'] } });
  expect((await rig.outcomes(id)).map(({ output }) => output)).toEqual([{ id: 'a', name: 'שלום' }, { id: 'b', name: 2 }, { id: 'c', name: true }]);
});

const columnOf = (title: string, column: string): Value[] => {
  const tab = google.books.get(SPREADSHEET)!.tabs.find((one) => one.title === title)!;
  const index = tab.rows[0]!.indexOf(column);
  return tab.rows.slice(1).map((row) => (row[index] as Value | undefined) ?? null);
};
/** Says hello to every name; calls are counted by the rows that they were made for. */
const greeting = async (): Promise<Partial<JobRequest>> => {
  const file = path.join(rig.folder, 'greet.mjs');
  await writeFile(file, 'export default (row) => ({ greeting: `=HELLO("${row.name}")`, size: String(row.name).length, part: { first: row.name[0] } });');
  return { handler: 'module', options: { file }, keyColumns: ['id'], writeBack: { columns: { greeting: 'Greeting', 'part.first': 'First' } } };
};

describe('write-back', () => {
  test('puts results into columns at the right edge, as text, and a second job finds nothing changed', async () => {
    google.book('Names', [['id', 'name', null], [1, 'Ann', 'a note'], [2, 'בן'], [3, 'Cem']], { rowCount: 10, columnCount: 3 });
    const first = await rig.ended((await job(await greeting())).id);
    expect(first).toMatchObject({ state: 'completed', writeBack: { current: 3, written: 3, moved: 0, missing: 0, completedAt: expect.any(String) } });
    expect(google.books.get(SPREADSHEET)!.tabs[0]!.rows).toEqual([
      ['id', 'name', null, 'Greeting', 'First'], [1, 'Ann', 'a note', '=HELLO("Ann")', 'A'], [2, 'בן', null, '=HELLO("בן")', 'ב'], [3, 'Cem', null, '=HELLO("Cem")', 'C'],
    ]);
    expect(await rig.events(first.id)).toContain('write_back');

    // Its own writing changed the sheet, and no row of it.
    const second = await job(await greeting());
    expect(await rig.ended(second.id)).toMatchObject({ writeBack: { current: 3, written: 0 }, manifest: { base: null } });
    expect(await rig.totals(second.id)).toMatchObject({ done: 0, unchanged: 3 });
    const before = google.arrivals.length;
    const third = await job(await greeting());
    expect(await rig.ended(third.id)).toMatchObject({ writeBack: { current: 3, written: 0 }, manifest: { base: second.id } });
    expect(google.arrivals.slice(before).map(({ kind }) => kind)).toEqual(['drive']);
  });

  test('of rows that are workflows puts the results of those that were done into the sheet, and a second job finds nothing changed', async () => {
    google.book('Fanned', [['id', 'name'], ['a', 'Ann'], ['b', 'Ben'], ['c', 'Cem'], ['d', null]]);
    const asked = { ...(await greeting()), fanOut: 'workflow' as const };
    const first = await rig.ended((await job(asked)).id);
    expect(first).toMatchObject({ state: 'completed', writeBack: { current: 3, written: 3, missing: 0, completedAt: expect.any(String) } });
    expect(await rig.totals(first.id)).toMatchObject({ done: 3, failed: 1 });
    expect(columnOf('Sheet1', 'Greeting')).toEqual(['=HELLO("Ann")', '=HELLO("Ben")', '=HELLO("Cem")', null]);
    const second = await rig.ended((await job(asked)).id);
    expect(second).toMatchObject({ state: 'completed', writeBack: { current: 3, written: 0 } });
    expect(await rig.totals(second.id)).toMatchObject({ done: 0, unchanged: 3, failed: 1 });
  });

  test('follows rows that moved, and leaves out those that are gone', async () => {
    google.book('Moving', [['id', 'name'], ['a', 'Ann'], ['b', 'Ben'], ['c', 'Cem'], ['d', 'Dana']]);
    const before = google.arrivals.length;
    // Between the reading of the rows and the writing of results: the first write finds another sheet.
    google.before = ({ what }) => {
      if (!what.includes('batchGet') || google.arrivals.slice(before).filter((one) => one.what.includes('batchGet')).length !== 2) return;
      google.edit(SPREADSHEET, ({ tabs: [tab] }) => { tab!.rows = [tab!.rows[0]!, ['new', 'Nil'], ['d', 'Dana'], ['a', 'Ann'], ['c', 'Cem']]; });
      google.before = () => {};
    };
    const { id } = await job({ ...(await greeting()), writeBack: { columns: { size: 'Size' } } });
    expect(await rig.ended(id)).toMatchObject({ state: 'completed', writeBack: { current: 3, written: 3, moved: 3, missing: 1 } });
    expect(columnOf('Sheet1', 'id')).toEqual(['new', 'd', 'a', 'c']);
    expect(columnOf('Sheet1', 'Size')).toEqual([null, 4, 3, 3]);
  });

  test('knows rows without key columns by all that they hold', async () => {
    google.book('Plain', [['name'], ['Ann'], ['Ben']]);
    const { id } = await job({ ...(await greeting()), keyColumns: [], writeBack: { columns: { size: 'Size' } } });
    expect(await rig.ended(id)).toMatchObject({ writeBack: { current: 2, written: 2 } });
    google.edit(SPREADSHEET, ({ tabs: [tab] }) => { tab!.rows.splice(1, 0, ['Zoe', null]); });
    const again = await job({ ...(await greeting()), keyColumns: [], writeBack: { columns: { size: 'Size' } } });
    expect(await rig.ended(again.id)).toMatchObject({ writeBack: { current: 3, written: 1 } });
    expect(columnOf('Sheet1', 'Size')).toEqual([3, 3, 3]);
  });

  test('into a tab of its own leaves the sheet as it is', async () => {
    const rows = [['id', 'name'], [1, 'Ann'], [2, 'Ben'], [3, 'Cem']];
    google.book('Tabbed', structuredClone(rows));
    const asked = { ...(await greeting()), writeBack: { columns: { greeting: 'Greeting' }, tab: 'תוצאות' } };
    expect(await rig.ended((await job(asked)).id)).toMatchObject({ state: 'completed', writeBack: { current: 3, written: 3 } });
    google.edit(SPREADSHEET, ({ tabs: [tab] }) => { tab!.rows.splice(1, 1); });
    expect(await rig.ended((await job(asked)).id)).toMatchObject({ state: 'completed', writeBack: { current: 2, written: 2 } });
    const [sheet, tab] = google.books.get(SPREADSHEET)!.tabs;
    expect(sheet!.rows).toEqual([rows[0], rows[2], rows[3]]);
    expect(tab!.title).toBe('תוצאות');
    expect(tab!.rows.slice(0, 4)).toEqual([['id', 'Greeting'], [2, '=HELLO("Ben")'], [3, '=HELLO("Cem")'], [null, null]]);
  });

  test('into a sheet that may only be read fails with who needs what, and a retry goes on', async () => {
    const book = google.book('Read only', [['id', 'name'], [1, 'Ann']]);
    book.shared.set(BOT, 'reader');
    const { id } = await job(await greeting());
    expect(await rig.ended(id)).toMatchObject({ state: 'failed', error: { code: 'source_forbidden', remedy: `Share the sheet with ${BOT} as an editor, or name other credentials` } });
    book.shared.set(BOT, 'writer');
    await rig.jobs.retry('default', id, { codes: null });
    expect(await rig.when(id, ({ state, attempt }) => attempt === 2 && state === 'completed')).toMatchObject({ writeBack: { current: 1, written: 1 } });
    expect(columnOf('Sheet1', 'Greeting')).toEqual(['=HELLO("Ann")']);
  });
});

const long = (rows: number): Value[][] => [['id', 'name'], ...Array.from({ length: rows }, (_, n) => [`r${n}`, 'x'.repeat(300)])];
const fetches = (): number => google.arrivals.filter(({ what, status }) => what.includes('batchGet') && status === 200).length;
afterEach(() => {
  google.fault = () => null;
  google.before = () => {};
});

describe('while a sheet is read', () => {
  test('Google asks to be left alone: the job waits in the open, and what was fetched is not fetched again', async () => {
    google.book('Long', long(12_000));
    const before = fetches();
    const whole = await job({ keyColumns: ['id'] });
    expect(await rig.ended(whole.id)).toMatchObject({ state: 'completed', manifest: { rows: 12_000 } });
    const parts = fetches() - before;
    google.book('Long', long(12_000)).title = 'Another';
    let refused = false;
    google.fault = ({ what }) => {
      if (refused || !what.includes('batchGet') || fetches() < before + parts + 3) return null;
      refused = true;
      return { status: 429, retryAfter: 4 };
    };
    const { id } = await job({ keyColumns: ['id'], range: 'A:B' });
    const waiting = await rig.when(id, ({ state }) => state === 'waiting');
    expect(waiting).toMatchObject({ cause: 'rate_limit', reason: 'Google asked to be left alone for a while.' });
    expect(Date.parse(waiting.until!)).toBeGreaterThan(Date.parse(waiting.updatedAt));
    expect(await rig.ended(id)).toMatchObject({ state: 'completed', cause: null, manifest: { rows: 12_000 } });
    expect(fetches()).toBe(before + 2 * parts);
    expect((await blobsOf(rig, id)).filter((key) => key.includes('/fetched/'))).toEqual([]);
  });

  test('somebody edits it: it is read again, and the rows are of one moment', async () => {
    google.book('Edited', long(3_000));
    let edited = false;
    google.before = ({ what }) => {
      if (edited || !what.includes('batchGet') || fetches() === before) return;
      edited = true;
      google.edit(SPREADSHEET, ({ tabs: [tab] }) => { for (const row of tab!.rows.slice(1)) row[1] = 'edited'; });
    };
    const before = fetches();
    const { id } = await job({ keyColumns: ['id'] });
    expect(await rig.ended(id)).toMatchObject({ state: 'completed', manifest: { rows: 3_000 } });
    expect(edited).toBe(true);
    expect(new Set((await rig.outcomes(id)).map(({ output }) => (output as { name: string }).name))).toEqual(new Set(['edited']));
  });

  test('Google is away: the job waits, cause capacity, until it is back; a revoked account ends it', async () => {
    google.book('Away', long(10));
    google.fault = ({ kind }) => (kind === 'token' ? null : { status: 503, retryAfter: 3_000 });
    const { id } = await job({ keyColumns: ['id'] });
    expect(await rig.when(id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'capacity', reason: 'Google does not answer, or not as it should' });
    google.fault = () => null;
    expect(await rig.ended(id)).toMatchObject({ state: 'completed' });
    google.accounts.of(BOT).revoked = true;
    const refused = await job({ keyColumns: ['id'] });
    expect(await rig.ended(refused.id)).toMatchObject({ state: 'failed', error: { code: 'credentials_rejected', message: expect.stringContaining(BOT) } });
    google.accounts.of(BOT).revoked = false;
  });
});

test('a write-back can be paused, resumed and cancelled, and shows how far it is', async () => {
  google.book('Steered', [['id', 'name'], [1, 'Ann'], [2, 'Ben']]);
  const { reached, open, pass } = door();
  google.before = ({ kind }) => (kind === 'write' ? pass() : undefined);
  const { id } = await job({ ...(await greeting()), force: true });
  await reached;
  expect(await rig.job(id)).toMatchObject({ state: 'running' });
  await rig.jobs.control('default', id, 'pause');
  await rig.when(id, ({ state }) => state === 'paused');
  open();
  await rig.jobs.control('default', id, 'resume');
  expect(await rig.ended(id)).toMatchObject({ state: 'completed', writeBack: { current: 2 } });
  expect(columnOf('Sheet1', 'Greeting')).toEqual(['=HELLO("Ann")', '=HELLO("Ben")']);

  const held = door();
  google.edit(SPREADSHEET, ({ tabs: [tab] }) => { tab!.rows[1]![1] = 'Zoe'; });
  google.before = ({ kind }) => (kind === 'write' ? held.pass() : undefined);
  const cancelled = await job(await greeting());
  await held.reached;
  await rig.jobs.control('default', cancelled.id, 'cancel');
  expect(await rig.ended(cancelled.id)).toMatchObject({ state: 'cancelled' });
  held.open();
});

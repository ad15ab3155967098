/** A sheet job from its creation to its end, on the real server with the real activities. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { fence } from '../../src/domain/fence.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { gateModule } from './gate.ts';
import { rowsOf, TENANT, usualRig, type Rig } from './rig.ts';

let rig: Rig;
usualRig((opened) => { rig = opened; });

const states = async (id: string): Promise<Record<number, string>> =>
  Object.fromEntries((await rig.outcomes(id)).map(({ row, state }) => [row, state]));

describe('a whole job', () => {
  test('reads the sheet, keeps every row, and its record, results, ledger, events and workflow all say so', async () => {
    const job = await rig.create('whole', rowsOf(12_000), { request: { keyColumns: ['name'] }, tags: ['spring'] });
    expect(job).toMatchObject({ state: 'queued', attempt: 1 });

    const ended = await rig.ended(job.id);
    expect(ended).toMatchObject({ state: 'completed', error: null, desired: null, cause: null, manifest: { rows: 12_000, pages: 3, duplicates: 0 } });
    expect(ended.startedAt! >= ended.createdAt && ended.completedAt! >= ended.startedAt!).toBe(true);
    expect(await rig.totals(job.id)).toEqual({ done: 12_000, unchanged: 0, failed: 0, skipped: 0, tried: 12_000, faults: 0 });

    const outcomes = await rig.outcomes(job.id);
    expect(outcomes.map(({ row }) => row)).toEqual(Array.from({ length: 12_000 }, (_, index) => index + 2));
    expect(outcomes[11_999]).toEqual({ row: 12_001, state: 'done', output: { name: 'a12000', n: 12_000 } });
    const items = await rig.store.readItems({ tenant: TENANT, source: job.source, lane: 'store' }, ['a1', 'a12000']);
    expect(items.get('a12000')).toMatchObject({ row: 12_001, state: 'done', job: job.id, attempt: 1 });
    expect(await rig.events(job.id)).toEqual(['created', 'running', 'snapshot', 'completed']);

    const handle = rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1));
    expect(await handle.result()).toEqual({ state: 'completed', total: 12_000, counts: { done: 12_000, unchanged: 0, failed: 0, skipped: 0 }, remaining: 0 });
  });

  test('a large sheet, cut beside its parser: every row, a double far away, a blank row and a wider one at the end', async () => {
    const long = 'x'.repeat(400);
    const rows = Array.from({ length: 24_000 }, (_, index) => (index === 12_000 ? ',,' : `k${index},${index},${long}`));
    const job = await rig.create('large', `name,n,note\n${rows.join('\n')}\nk7,again,\nlast,1,short,wider\n`, { request: { keyColumns: ['name'] } });
    const { manifest } = await rig.ended(job.id);
    expect(manifest).toMatchObject({ rows: 24_002, duplicates: 1, columns: [{ name: 'name' }, { name: 'n' }, { name: 'note' }, { letter: 'D' }] });
    expect(await rig.totals(job.id)).toMatchObject({ done: 24_000, failed: 1, skipped: 1 });
    const outcomes = await rig.outcomes(job.id);
    expect(outcomes.map(({ row }) => row)).toEqual(Array.from({ length: 24_002 }, (_, index) => index + 2));
    expect(outcomes.filter(({ state }) => state !== 'done').map(({ row, state }) => [row, state])).toEqual([[12_002, 'skipped'], [24_002, 'failed']]);
    expect(outcomes.at(-1)!.output).toEqual({ name: 'last', n: 1, note: 'short', [manifest!.columns[3]!.name]: 'wider' });
  });

  test('an empty sheet with a header ends completed with no rows', async () => {
    const job = await rig.create('empty', 'name,n\n');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', manifest: { rows: 0, pages: 0 } });
    expect(await rig.outcomes(job.id)).toEqual([]);
  });

  test('a sheet that cannot be read ends failed with its code, place and remedy, and no row is touched', async () => {
    const job = await rig.create('no-key', rowsOf(3), { request: { keyColumns: ['email'] } });
    expect(await rig.ended(job.id)).toMatchObject({
      state: 'failed', manifest: null,
      error: { code: 'key_column_missing', message: expect.stringContaining('"email"'), remedy: expect.any(String), place: { column: 'email' } },
    });
    expect(await rig.outcomes(job.id)).toEqual([]);
    await expect(rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1)).result()).rejects.toMatchObject({ cause: { type: 'key_column_missing' } });
  });

  test('a handler module that cannot be loaded ends the job failed with that code before any row', async () => {
    const file = path.join(rig.folder, 'broken.mjs');
    await writeFile(file, 'export default 7;');
    const job = await rig.create('broken', rowsOf(3), { request: { handler: 'module', options: { file } } });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'failed', error: { code: 'handler_invalid' } });
    expect(await rig.totals(job.id)).toMatchObject({ done: 0, failed: 0 });
  });
});

describe('a second job on the same source', () => {
  test('ends every row unchanged without a handler call; an edited row and a new one are handled', async () => {
    rig.gate.forget();
    const request = await rig.gated(4);
    const first = await rig.create('again', 'name,n\nx,1\ny,2\nz,3\n', { request: { ...request, keyColumns: ['n'] } });
    await rig.ended(first.id);
    expect(rig.gate.started.toSorted()).toEqual(['1', '2', '3']);

    rig.gate.forget();
    const second = await rig.create('again', 'name,n\nx,1\ny,2\nz,3\n', { request: { ...request, keyColumns: ['n'] } });
    await rig.ended(second.id);
    expect(rig.gate.started).toEqual([]);
    expect(await rig.totals(second.id)).toMatchObject({ unchanged: 3, done: 0, tried: 0 });
    expect((await rig.outcomes(second.id))[0]).toEqual({ row: 2, state: 'unchanged', output: { answered: '1' } });

    const third = await rig.create('again', 'name,n\nx,1\nY!,2\nz,3\nw,4\n', { request: { ...request, keyColumns: ['n'] } });
    await rig.ended(third.id);
    expect(rig.gate.started.toSorted()).toEqual(['2', '4']);
    expect(await states(third.id)).toEqual({ 2: 'unchanged', 3: 'done', 4: 'unchanged', 5: 'done' });
  });

  test('with force handles every row again, each once', async () => {
    const request = await rig.gated(4);
    await rig.ended((await rig.create('forced', rowsOf(5), { request })).id);
    rig.gate.forget();
    const forced = await rig.create('forced', rowsOf(5), { request: { ...request, force: true } });
    await rig.ended(forced.id);
    expect(rig.gate.started.toSorted()).toEqual(['a1', 'a2', 'a3', 'a4', 'a5']);
    expect(await rig.totals(forced.id)).toMatchObject({ done: 5, unchanged: 0 });
  });

  test('another lane knows nothing of the first', async () => {
    const request = await rig.gated(4);
    await rig.ended((await rig.create('lanes', rowsOf(3), { request })).id);
    const other = await rig.create('lanes', rowsOf(3), { request, lane: 'second' });
    await rig.ended(other.id);
    expect(await rig.totals(other.id)).toMatchObject({ done: 3, unchanged: 0 });
  });

  test('an edited module handles every row anew', async () => {
    const request = await rig.gated(4);
    const file = await gateModule(rig.folder, 'edited.mjs');
    const options = { file, options: { url: rig.gate.url } };
    await rig.ended((await rig.create('edited', rowsOf(3), { request: { ...request, options } })).id);
    rig.gate.forget();
    await gateModule(rig.folder, 'edited.mjs', '// a better one');
    const again = await rig.create('edited', rowsOf(3), { request: { ...request, options } });
    await rig.ended(again.id);
    expect(rig.gate.started).toHaveLength(3);
    expect(await rig.totals(again.id)).toMatchObject({ done: 3, unchanged: 0 });
  });
});

describe('rows that are not like the others', () => {
  const csv = 'name,n\na,1\nb,2\na,3\n,\nb,4\na,5\n,6\n'; // rows 2 to 8; 5 is blank, 8 has no key
  const run = async (onDuplicateKey: 'fail' | 'first' | 'last') => {
    const job = await rig.create(`keys-${onDuplicateKey}`, csv, { request: { keyColumns: ['name'], onDuplicateKey } });
    const ended = await rig.ended(job.id);
    return { ended, outcomes: await rig.outcomes(job.id), states: await states(job.id) };
  };

  test('later rows of a key fail with duplicate_key that names the row which won; the blank row is skipped; the row without a key fails', async () => {
    const { ended, outcomes, states: found } = await run('fail');
    expect(found).toEqual({ 2: 'done', 3: 'done', 4: 'failed', 5: 'skipped', 6: 'failed', 7: 'failed', 8: 'failed' });
    expect(outcomes.filter(({ error }) => error).map(({ row, error }) => [row, error!.code])).toEqual(
      [[4, 'duplicate_key'], [6, 'duplicate_key'], [7, 'duplicate_key'], [8, 'missing_key']]);
    expect(outcomes[2]!.error!.message).toContain('Row 2');
    expect(ended).toMatchObject({ state: 'completed', manifest: { rows: 7, duplicates: 3 } });
    expect(await rig.store.countFailedRows(TENANT, ended.id)).toEqual([{ code: 'duplicate_key', rows: 3 }, { code: 'missing_key', rows: 1 }]);
  });

  test('first: the first row of a key is handled, later ones are skipped', async () => {
    expect((await run('first')).states).toEqual({ 2: 'done', 3: 'done', 4: 'skipped', 5: 'skipped', 6: 'skipped', 7: 'skipped', 8: 'failed' });
  });

  test('last: the last row of a key is handled, earlier ones are skipped', async () => {
    const { states: found, ended } = await run('last');
    expect(found).toEqual({ 2: 'skipped', 3: 'skipped', 4: 'skipped', 5: 'skipped', 6: 'done', 7: 'done', 8: 'failed' });
    const items = await rig.store.readItems({ tenant: TENANT, source: ended.source, lane: 'store' }, ['a', 'b']);
    expect([items.get('a')?.row, items.get('b')?.row]).toEqual([7, 6]);
  });

  test('duplicates in different pages are found', async () => {
    const job = await rig.create('far-apart', `${rowsOf(5_500)}a1,again\n`, { request: { keyColumns: ['name'] } });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', manifest: { pages: 2, duplicates: 1 } });
    expect(await rig.store.listFailedRows(TENANT, job.id, {}, { limit: 5 })).toMatchObject({ items: [{ row: 5_502, error: { code: 'duplicate_key' } }] });
  });
});

describe('failures', () => {
  test('are recorded with code and message, and the others go on', async () => {
    rig.gate.fail = (key) => (key === 'a2' ? { code: 'no_such_thing' } : null);
    const job = await rig.create('failing', rowsOf(4), { request: await rig.gated(2) });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', error: null });
    expect(await rig.totals(job.id)).toMatchObject({ done: 3, failed: 1, tried: 4, faults: 1 });
    expect(await rig.store.listFailedRows(TENANT, job.id, {}, { limit: 10 })).toEqual({
      items: [{ row: 3, key: 'a2', error: { code: 'no_such_thing', message: 'The gate refused the row.', retryable: false }, input: { name: 'a2', n: '2' } }],
      nextCursor: null,
    });
  });

  test('a permanent failure of an earlier job is carried without a call until the row changes; a transient one is tried again', async () => {
    const request = await rig.gated(2);
    rig.gate.fail = (key) => (key === 'a2' || key === 'a3' ? { code: 'refused' } : null);
    const first = await rig.create('carried', rowsOf(3), { request });
    await rig.ended(first.id);
    // What the ledger holds of a3 after a service was down for longer than its row's retries.
    const lane = { tenant: TENANT, source: first.source, lane: first.lane };
    const a3 = (await rig.store.readItems(lane, ['a3'])).get('a3')!;
    const later = fence({ generation: 1, attempt: 2, dispatch: 1, activityAttempt: 1 });
    await rig.store.commitRows({
      lane, job: first.id, tags: [], fence: later, failed: [], cleared: [],
      items: [{ ...a3, output: 'null', error: { code: 'refused', message: 'Down.', retryable: true }, input: '{"name":"a3"}', text: '', tries: 6, tokens: null, cost: null, latencyMs: 1 }],
    });

    rig.gate.forget();
    rig.gate.fail = () => null;
    const second = await rig.create('carried', rowsOf(4), { request: { ...request, breaker: { minRows: 1, maxFailedFraction: 0 } } });
    expect(await rig.ended(second.id)).toMatchObject({ state: 'completed' });
    expect(rig.gate.started.toSorted()).toEqual(['a3', 'a4']);
    expect(await states(second.id)).toEqual({ 2: 'unchanged', 3: 'failed', 4: 'done', 5: 'done' });
    expect((await rig.outcomes(second.id))[1]!.error).toMatchObject({ code: 'refused', carried: true });
    expect(await rig.store.countFailedRows(TENANT, second.id)).toEqual([{ code: 'refused', rows: 1 }]);

    // The file has not changed since: the results of the job before answer, and say the same.
    rig.gate.forget();
    const third = await rig.create('carried', rowsOf(4), { request });
    await rig.ended(third.id);
    expect(rig.gate.started).toEqual([]);
    expect(await states(third.id)).toEqual({ 2: 'unchanged', 3: 'failed', 4: 'unchanged', 5: 'unchanged' });
    expect((await rig.outcomes(third.id))[1]!.error).toMatchObject({ code: 'refused', carried: true });

    // What carries a failure can be asked for.
    await rig.jobs.retry(TENANT, third.id, { codes: ['refused'] });
    await rig.when(third.id, ({ state, attempt }) => state === 'completed' && attempt === 2);
    expect(rig.gate.started).toEqual(['a2']);
    expect(await rig.totals(third.id)).toMatchObject({ done: 1, unchanged: 3, failed: 0 });
  });
});

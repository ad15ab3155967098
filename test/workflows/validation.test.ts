/** Rows against a format, before any handler sees them. */
import { expect, test } from 'vitest';
import { columnRules, type ValidationLevel } from '../../src/contracts/formats.ts';
import type { SheetJobRecord } from '../../src/contracts/job.ts';
import { TENANT, usualRig, type Rig } from './rig.ts';

let rig: Rig;
usualRig((opened) => { rig = opened; });

const SHEET = 'name,price\na1,5\na2,"1,50"\na3,\na4,9\n';
const columns = columnRules.parse({ price: { type: 'number', required: true } });
async function run(sheet: string, level: ValidationLevel, csv = SHEET): Promise<SheetJobRecord> {
  const job = await rig.create(sheet, csv, { request: { ...(await rig.gated()), validation: { level, columns } } });
  return (await rig.ended(job.id)) as SheetJobRecord;
}

test('moderate: rows that do not fit fail, with the column, and are no fault of the handler', async () => {
  const job = await run('moderate', 'moderate');
  expect(job).toMatchObject({ state: 'completed' });
  expect(rig.gate.started).toEqual(['a1', 'a4']);
  expect(await rig.totals(job.id)).toEqual({ done: 2, unchanged: 0, failed: 2, skipped: 0, tried: 2, faults: 0 });
  expect((await rig.store.listFailedRows(TENANT, job.id, {}, { limit: 9 })).items).toMatchObject([
    { row: 3, error: { code: 'invalid_row', column: 'price', message: 'Column "price" is no number.' } }, { row: 4, error: { message: 'Column "price" is empty.' } },
  ]);
});

test('strict: the first row that does not fit fails the job before any row is handled', async () => {
  expect(await run('strict', 'strict')).toMatchObject({ state: 'failed', error: { code: 'invalid_row', message: 'Row 3: Column "price" is no number.', place: { row: 3, column: 'price' } } });
  expect(rig.gate.started).toEqual([]);
});

test('lenient: cells are made to fit where they can be, and all rows are handled', async () => {
  const job = await run('lenient', 'lenient');
  expect(rig.gate.started).toEqual(['a1', 'a2', 'a3', 'a4']);
  expect(job.manifest?.warnings).toMatchObject([{ row: 3, column: 'price', code: 'cell_changed' }, { row: 4, code: 'cell_unfit' }]);
});

test('a required column that is missing is an error before any row', async () => {
  expect(await run('missing', 'lenient', 'name,prise\na1,1\n')).toMatchObject({ state: 'failed', error: { code: 'column_missing', place: { column: 'price' } } });
  expect(rig.gate.started).toEqual([]);
});

test('another level on the same file reads it anew', async () => {
  await run('again', 'moderate');
  rig.gate.forget();
  const job = await run('again', 'lenient');
  expect(rig.gate.started).toEqual(['a2', 'a3']);
  expect(await rig.totals(job.id)).toMatchObject({ done: 2, unchanged: 2, failed: 0 });
});

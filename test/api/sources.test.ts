import { copyFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PreviewAnswer } from '../../src/contracts/sheet-api.ts';
import { startApi, upload } from './api.ts';
import type { Api } from './api.ts';

let api: Api;
beforeAll(async () => { api = await startApi(); });
afterAll(() => api.close());

const preview = async (body: object) => (await api.call<PreviewAnswer>('POST', '/sources/preview', { body })).body;

describe('a preview', () => {
  it('shows columns, types, the first rows and their number, and makes no job', async () => {
    const rows = Array.from({ length: 50 }, (_, n) => `${n},x${n},2024-01-${String(n % 28 + 1).padStart(2, '0')}`);
    const found = await preview({ source: { upload: await upload(api, `id,name,name\n${rows.join('\n')}\n`) } });
    expect(found.columns).toEqual([
      { name: 'id', header: 'id', letter: 'A', renamed: null, type: 'integer' },
      { name: 'name', header: 'name', letter: 'B', renamed: null, type: 'text' },
      { name: 'name_2', header: 'name', letter: 'C', renamed: 'duplicate', type: 'date' },
    ]);
    expect(found).toMatchObject({ sheet: null, sheets: [], rowCount: 50 });
    expect(found.rows).toHaveLength(20);
    expect(found.rows[0]).toEqual({ row: 2, cells: ['0', 'x0', '2024-01-01'] });
    expect((await api.call<{ items: [] }>('GET', '/jobs')).body.items).toEqual([]);
  });

  it('reads a part of a workbook by path', async () => {
    const file = path.join(api.folder, 'cups.xlsx');
    await copyFile(new URL('../../../shared/corpus/more-than-1k-cells.xlsx', import.meta.url), file);
    const whole = await preview({ source: { path: file } });
    expect(whole.sheets.length).toBeGreaterThan(0);
    const part = await preview({ source: { path: file }, sheet: whole.sheets[0], range: 'A1:A5', headerRow: 0, numRows: 2 });
    expect(part.columns.map(({ name }) => name)).toEqual(['A']);
    expect(part.rowCount).toBe(2);
  });

  it.each([
    ['password_protected.xlsx', 422, 'password_required'],
    ['fake.docx', 415, 'unsupported_type'],
  ])('of %s says why not', async (name, status, code) => {
    const file = path.join(api.folder, name);
    await copyFile(new URL(`../../../shared/corpus/${name}`, import.meta.url), file);
    expect(await api.refused('POST', '/sources/preview', { body: { source: { path: file } } })).toMatchObject({ status, code, remedy: expect.any(String) });
  });

  it('names what is wrong with the request', async () => {
    const file = path.join(api.folder, 'a.csv');
    await writeFile(file, 'a\n1\n');
    const refused = (more: object) => api.refused('POST', '/sources/preview', { body: { source: { path: file }, ...more } });
    expect(await refused({ range: 'nonsense' })).toMatchObject({ status: 422, code: 'invalid_range' });
    expect(await refused({ headerrow: 1 })).toMatchObject({ status: 400, errors: [{ path: 'headerrow', message: 'there is no such field; did you mean "headerRow"?' }] });
    expect(await refused({ source: { path: '../../etc/passwd' } })).toMatchObject({ status: 403, code: 'path_not_allowed' });
    expect(await refused({ source: { upload: 'none' } })).toMatchObject({ status: 404, code: 'upload_not_found' });
  });
});

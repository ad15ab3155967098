import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { PreviewAnswer } from '../../src/contracts/sheet-api.ts';
import { localLimits } from '../../src/limits/local.ts';
import { createGoogleSheets } from '../../src/sources/google-sheets.ts';
import { date } from '../servers/google/grid.ts';
import { ADDRESS, BOT, readyGoogle, SPREADSHEET, type ReadyGoogle } from '../servers/google/ready.ts';
import { startApi, type Api } from './api.ts';

let google: ReadyGoogle;
let api: Api;
beforeAll(async () => {
  google = await readyGoogle();
  const sheets = createGoogleSheets({ credentials: google.credentials, url: google.url, limits: localLimits() });
  api = await startApi(() => ({ google: sheets }));
});
afterAll(async () => {
  await api?.close();
  await google?.close();
});

const source = { spreadsheet: ADDRESS, credentials: 'bot' };

describe('a Google Sheet', () => {
  it('is looked at by its address, in Hebrew too', async () => {
    google.book('פניות', [['מספר', 'נושא', 'תאריך'], [1, 'חיוב כפול', date('2026-11-02')], [2, 'שאלה', date('2026-11-03')]]);
    const { body } = await api.call<PreviewAnswer>('POST', '/sources/preview', { body: { source } });
    expect(body).toMatchObject({ format: 'Google Sheet', sheet: 'Sheet1', sheets: ['Sheet1'], rowCount: 2, rows: [{ row: 2, cells: [1, 'חיוב כפול', '2026-11-02'] }, { row: 3 }] });
    expect(body.columns.map(({ name, type }) => [name, type])).toEqual([['מספר', 'integer'], ['נושא', 'text'], ['תאריך', 'date']]);
  });

  it('that may not be read is refused with who needs what', async () => {
    google.books.get(SPREADSHEET)!.shared.clear();
    expect(await api.refused('POST', '/sources/preview', { body: { source } })).toMatchObject({ status: 422, code: 'source_forbidden', remedy: expect.stringContaining(BOT) });
    expect(await api.refused('POST', '/sources/preview', { body: { source: { ...source, credentials: 'nobody' } } })).toMatchObject({ status: 422, code: 'credentials_unknown' });
  });

  it('that has no calls left is a 429 that says when', async () => {
    google.fault = ({ kind }) => (kind === 'read' ? { status: 429, retryAfter: 20 } : null);
    expect(await api.refused('POST', '/sources/preview', { body: { source } })).toMatchObject({ status: 429, code: 'rate_limited', remedy: 'Try again in 20 s' });
    google.fault = () => null;
  });

  it('makes a job without being asked: which sheet and whose credentials, and no secret', async () => {
    const before = google.arrivals.length;
    const { body: job } = await api.call<JobAnswer>('POST', '/jobs', { body: { source, keyColumns: ['id'], writeBack: { columns: { category: 'סיווג' } } } });
    expect(job).toMatchObject({
      source: expect.stringMatching(/^google:/), file: { name: `Google Sheet ${SPREADSHEET}`, spreadsheet: SPREADSHEET, gid: 0, credentials: 'bot' },
      writeBack: { columns: { category: 'סיווג' }, written: 0, completedAt: null },
    });
    expect(google.arrivals.length).toBe(before);
    const { body: named } = await api.call<JobAnswer>('POST', '/jobs', { body: { source: { spreadsheet: ADDRESS, useAdc: true }, sheet: 'גיליון2' } });
    expect(named.file).toMatchObject({ useAdc: true, sheet: 'גיליון2' });
    expect(named.file).not.toHaveProperty('gid');
  });

  it.each<[object, object]>([
    [{ source: { spreadsheet: 'https://example.org/sheet' } }, { code: 'invalid_request', place: { field: 'source.spreadsheet' } }],
    [{ source: { ...source, useAdc: true } }, { place: { field: 'source.useAdc' } }],
    [{ source: { ...source, gid: 3 }, sheet: 'Other' }, { place: { field: 'source.gid' } }],
    [{ source, keyColumns: ['id'], writeBack: { columns: { category: 'id' } } }, { place: { field: 'writeBack.columns' } }],
    [{ source, headerRow: 0, writeBack: { columns: { category: 'C' } } }, { place: { field: 'writeBack' } }],
    [{ source, writeBack: { columns: {} } }, { place: { field: 'writeBack.columns' } }],
    [{ source, writeBack: { columns: { a: 'X', b: 'X' } } }, { place: { field: 'writeBack.columns' } }],
    [{ source: { path: '/nowhere.csv' }, writeBack: { columns: { a: 'X' } } }, { place: { field: 'writeBack' } }],
  ])('is refused as %j', async (body, problem) => {
    expect(await api.refused('POST', '/jobs', { body })).toMatchObject({ status: 400, ...problem });
  });
});

/** Jobs on Google Sheets, with real Temporal and a server that speaks Google's protocol. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { JobRequest } from '../../src/contracts/job.ts';
import { readyGoogle, SPREADSHEET, type ReadyGoogle } from '../servers/google/ready.ts';
import { openRig, type Rig } from './rig.ts';

let google: ReadyGoogle;
let rig: Rig;
beforeAll(async () => {
  google = await readyGoogle();
  rig = await openRig({ google });
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

/** The history of a job that waits for Google while its sheet is read, and writes its results back. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { readyGoogle, SPREADSHEET, type ReadyGoogle } from '../servers/google/ready.ts';
import { historiesOf } from '../workflows/replay.ts';
import { openRig, type Rig } from '../workflows/rig.ts';
import { commitHistory } from './histories.ts';

let google: ReadyGoogle;
let rig: Rig;
beforeAll(async () => {
  google = await readyGoogle();
  rig = await openRig({ google });
  await rig.startWorkers();
});
afterAll(async () => {
  await rig?.close();
  await google?.close();
});

test('written back, after a wait', async () => {
  google.book('Sheet', [['id', 'name'], ['a', 'Ann'], ['b', 'Ben']]);
  let refusals = 0;
  google.fault = ({ kind }) => (kind === 'read' && refusals++ === 0 ? { status: 429, retryAfter: 3 } : null);
  const { id } = await rig.onSheet({
    location: { spreadsheet: SPREADSHEET, credentials: 'bot' }, fileName: 'Google Sheet', keyColumns: ['id'], writeBack: { columns: { name: 'Name again' } },
  });
  expect(await rig.ended(id)).toMatchObject({ state: 'completed', writeBack: { written: 2 } });
  await commitHistory('written-back', (await historiesOf(rig.env.client, jobWorkflowId(id, 1))).at(-1)!.history);
});

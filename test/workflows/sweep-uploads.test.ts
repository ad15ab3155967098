/** Abandoned uploads in parts are aborted by a schedule that every worker makes. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storageIdentity } from '../../src/storage-identity.ts';
import { keepSchedules } from '../../src/temporal/schedules.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, type Rig } from './rig.ts';

const KEY = 'acme/documents/1/content';
const DAY_MS = 24 * 3_600_000;

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
});
afterAll(() => rig.close());

const begun = async (): Promise<string[]> => {
  const uploads: string[] = [];
  for await (const { upload } of rig.blobs.parts.begunBefore(new Date(Date.now() + DAY_MS))) uploads.push(upload);
  return uploads.sort();
};

/** As if it had been begun so long ago. */
async function backdate(upload: string, ms: number): Promise<void> {
  const file = path.join(rig.folder, 'blobs', 'uploads', upload, 'about.json');
  const about = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...about, startedAt: new Date(Date.now() - ms).toISOString() }));
}

test('what began more than a day ago is aborted, what is younger stays, and the schedule is one however many workers make it', async () => {
  const log = pino({ level: 'silent' });
  const { client } = rig.env;
  const keep = () => keepSchedules({ client, log, storage: () => storageIdentity(rig.store, rig.blobs) });
  await Promise.all([keep(), keep()]);
  const schedule = client.schedule.getHandle('sheaf-sweep-uploads');
  await schedule.pause('An operator looks.');
  // The server has heard of it, and carries it out in a moment.
  await eventually(async () => (await schedule.describe()).state.paused);
  await keep();
  expect((await schedule.describe()).state).toMatchObject({ paused: true, note: 'An operator looks.' });

  const uploads = await Promise.all([1, 2, 3].map(() => rig.blobs.parts.begin(KEY)));
  await rig.blobs.parts.put(KEY, uploads[0]!, { number: 1, size: 3 }, Buffer.from('abc'));
  await Promise.all([backdate(uploads[0]!, DAY_MS + 60_000), backdate(uploads[1]!, 2 * DAY_MS), backdate(uploads[2]!, DAY_MS - 60_000)]);
  await schedule.trigger();
  await eventually(async () => (await begun()).length === 1);
  expect(await begun()).toEqual([uploads[2]]);

  const [action] = await eventually(async () => {
    const { recentActions } = (await schedule.describe()).info;
    return recentActions.length > 0 && recentActions;
  });
  const { workflowId } = action!.action.workflow;
  expect(await client.workflow.getHandle(workflowId).result()).toEqual({ aborted: 2 });
  await replay(await historiesOf(client, workflowId));
});

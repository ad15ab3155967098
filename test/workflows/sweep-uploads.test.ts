/** Abandoned uploads in parts are aborted by a schedule that every worker makes. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keepSchedules } from '../../src/temporal/schedules.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import type { UploadRecord } from '../../src/contracts/upload.ts';
import { aJob } from '../conformance/store-samples.ts';
import { anUpload } from '../conformance/store-uploads.ts';
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

/** With an object at its place, and, but for `arriving`, parts. */
async function anUploadOf(name: string, livesMs: number, over: Partial<UploadRecord> = {}): Promise<UploadRecord> {
  const document = `doc_${name}`;
  const blob = blobKeys.original('acme', document, '1');
  const blobUpload = over.state === undefined ? await rig.blobs.parts.begin(blob) : null;
  if (over.state !== undefined) await rig.blobs.put(blob, Buffer.from('bytes'));
  await rig.blobs.put(blobKeys.password('acme', document), Buffer.from('secret'));
  return (await rig.store.createUpload(anUpload(name, { document, job: `job_${name}`, blob, blobUpload, expiresAt: new Date(Date.now() + livesMs).toISOString(), ...over }))).upload;
}

test('what has expired goes with its parts, stray parts go after two days, what is younger stays, and the schedule is one however many workers make it', async () => {
  const log = pino({ level: 'silent' });
  const { client } = rig.env;
  await Promise.all([keepSchedules({ client, log }), keepSchedules({ client, log })]);
  const schedule = client.schedule.getHandle('sheaf-sweep-uploads');
  await schedule.pause('An operator looks.');
  await keepSchedules({ client, log });
  expect((await schedule.describe()).state).toMatchObject({ paused: true, note: 'An operator looks.' });

  const uploads = await Promise.all([1, 2, 3].map(() => rig.blobs.parts.begin(KEY)));
  await rig.blobs.parts.put(KEY, uploads[0]!, { number: 1, size: 3 }, Buffer.from('abc'));
  await Promise.all([backdate(uploads[0]!, 2 * DAY_MS + 60_000), backdate(uploads[1]!, 3 * DAY_MS), backdate(uploads[2]!, 2 * DAY_MS - 60_000)]);
  const expired = await anUploadOf('expired', -1_000);
  const arriving = await anUploadOf('arriving', -1_000, { state: 'arriving' });
  const young = await anUploadOf('young', 60_000);
  const completed = await anUploadOf('completed', -1_000, { state: 'completed' });
  await rig.store.createJob(aJob(completed.job, { tenant: 'acme' }));
  await schedule.trigger();
  await eventually(async () => (await begun()).length === 2);
  expect(await begun()).toEqual([uploads[2], young.blobUpload].sort());
  for (const { id, blob, document } of [expired, arriving]) {
    expect(await rig.store.getUpload('acme', id)).toBeNull();
    expect(await rig.blobs.head(blob)).toBeNull();
    expect(await rig.blobs.head(blobKeys.password('acme', document))).toBeNull();
  }
  expect(await rig.store.getUpload('acme', young.id)).toEqual(young);
  expect(await rig.store.getUpload('acme', completed.id)).toBeNull();
  expect(await rig.blobs.head(completed.blob), 'is a document\'s').not.toBeNull();

  const [action] = await eventually(async () => {
    const { recentActions } = (await schedule.describe()).info;
    return recentActions.length > 0 && recentActions;
  });
  const { workflowId } = action!.action.workflow;
  expect(await client.workflow.getHandle(workflowId).result()).toEqual({ expired: 3, aborted: 2 });
  await replay(await historiesOf(client, workflowId));
});

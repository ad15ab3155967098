/** Many documents at once: cleaned up by age, tag and state, or done again; and whether store, blobs and ledger agree afterwards. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { blobKeys } from '../../src/blobs/keys.ts';
import type { DocumentRecord } from '../../src/contracts/document.ts';
import { SheafError } from '../../src/contracts/errors.ts';
import { isEnded } from '../../src/contracts/job.ts';
import type { BulkReport } from '../../src/contracts/document-messages.ts';
import type { Finding } from '../../src/integrity/finding.ts';
import { verify } from '../../src/integrity/verify.ts';
import { documentBulkWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
});
afterEach(async () => {
  rig.reader.reset();
  await rig.replayAll();
});
afterAll(() => rig.close());

const ended = (document: DocumentRecord, attempt = 1): Promise<DocumentRecord> =>
  rig.whenDocument(document.id, (now) => now.attempt === attempt && isEnded(now.state));
async function report(id: string): Promise<BulkReport> {
  const found = await eventually(async () => {
    const now = await rig.documents.bulkReport(TENANT, id);
    return now?.done && now;
  });
  await replay(await historiesOf(rig.env.client, documentBulkWorkflowId(TENANT, id)));
  return found;
}
async function findings(repair = false): Promise<Finding[]> {
  const found: Finding[] = [];
  for await (const finding of verify(rig, { repair })) found.push(finding);
  return found;
}

describe('many documents', () => {
  test('are done again from a stage on where the filter finds them, without extracting; those in work are named as refused', async () => {
    const some = await Promise.all([1, 2, 3].map((n) => rig.upload(`some-${n}.txt`, `one two three ${n}`, { tags: ['some'] })));
    const other = await rig.upload('other.txt', 'one two three');
    await Promise.all([...some, other].map((document) => ended(document)));
    const go = Promise.withResolvers<void>();
    rig.reader.before = async () => go.promise;
    const inWork = await rig.upload('in-work.txt', 'in work', { tags: ['some'] });
    await rig.whenDocument(inWork.id, ({ state }) => state === 'running');
    rig.reader.calls = [];
    const options = { ...other.options, chunkSize: 2 };
    const done = await report(await rig.documents.bulk(TENANT, { filter: { tag: 'some' }, dryRun: false, reprocess: { from: 'chunking', options } }));
    go.resolve();
    expect(done).toMatchObject({ found: 4, taken: 3, refused: { wrong_state: 1 }, done: true });
    for (const document of some) expect(await ended(document, 2)).toMatchObject({ state: 'completed', counts: { passages: 2 } });
    await ended(inWork);
    // That of the document that was in work.
    expect(rig.reader.calls.filter((step) => step === 'extract')).toHaveLength(1);
    expect(await rig.document(other.id)).toMatchObject({ attempt: 1 });
  });

  test('are counted by a dry run, and deleted for good otherwise: by age, tag and state', async () => {
    rig.reader.before = async (step) => {
      if (step === 'extract') throw new SheafError('corrupt_file', 'Damaged.');
    };
    const broken = await ended(await rig.upload('broken.txt', 'broken', { tags: ['old'] }));
    rig.reader.reset();
    const fine = await ended(await rig.upload('fine.txt', 'a fine thing', { tags: ['old'] }));
    const filter = { tag: 'old', state: ['failed' as const], before: new Date().toISOString() };
    expect(await report(await rig.documents.bulk(TENANT, { filter, dryRun: true, reprocess: null }))).toMatchObject({ found: 1, taken: 1, bytes: 6, documents: [broken.id] });
    expect(await rig.document(broken.id)).toMatchObject({ state: 'failed' });
    expect(await report(await rig.documents.bulk(TENANT, { filter, dryRun: false, reprocess: null }))).toMatchObject({ taken: 1 });
    await eventually(async () => (await rig.store.getDocument(TENANT, broken.id)) === null);
    expect(await rig.document(fine.id)).toMatchObject({ state: 'completed' });
    expect(await report(await rig.documents.bulk(TENANT, { filter: { before: fine.createdAt, tag: 'old' }, dryRun: true, reprocess: null }))).toMatchObject({ found: 0 });
    expect(await rig.documents.bulkReport('globex', 'bulk_nobody')).toBeNull();
  });
});

describe('verify', () => {
  test('finds nothing where all agrees, also of what is in work', async () => {
    await ended(await rig.upload('agrees.txt', 'agreed'));
    await rig.ended((await rig.create('agrees', rowsOf(20))).id);
    const go = Promise.withResolvers<void>();
    rig.reader.before = async (step) => { if (step === 'analyse') await go.promise; };
    const running = await rig.upload('works.txt', 'working');
    await rig.whenDocument(running.id, ({ stage }) => stage === 'analysis');
    expect(await findings()).toEqual([]);
    go.resolve();
    await ended(running);
  });

  test('finds objects and passages that nobody needs, and takes them away', async () => {
    const document = await ended(await rig.upload('stray.txt', 'a stray thing'));
    const strays = [
      blobKeys.stageResult(TENANT, document.id, 'text', 9, 9), blobKeys.original(TENANT, 'doc_nobody', 'x'), blobKeys.page(TENANT, 'job_nobody', 1), blobKeys.password(TENANT, document.id),
    ];
    for (const key of strays) await rig.blobs.put(key, Buffer.from('x'));
    await rig.store.writePassages({
      set: { tenant: TENANT, documentKey: document.documentKey, document: document.id, version: 1, generation: 99 }, job: document.job, tags: [], fileName: 'f', title: null,
      passages: [{ number: 1, text: 'ghost', words: 'ghost', start: 0, end: 5, tokens: 1, pages: null, headings: [], tableHeader: null }],
    });
    const found = await findings();
    expect(found.map(({ kind }) => kind).toSorted()).toEqual(['orphaned_blob', 'orphaned_blob', 'orphaned_blob', 'orphaned_blob', 'orphaned_passages']);
    expect(found.flatMap(({ key }) => key ?? []).toSorted()).toEqual(strays.toSorted());
    expect((await findings(true)).every(({ outcome }) => outcome === 'repaired')).toBe(true);
    expect(await findings()).toEqual([]);
    expect(await rig.found('stray')).toEqual(['a stray thing']);
  });

  test('finds what is missing, and makes again what can be made again', async () => {
    const document = await ended(await rig.upload('missing.txt', 'missing piece'));
    await rig.blobs.delete(document.blobs.chunks!);
    const bare = await ended(await rig.upload('bare.txt', 'bare bones'));
    await rig.store.publishPassages({ tenant: TENANT, documentKey: bare.documentKey, document: bare.id, version: 1, generation: 50 });
    expect((await findings()).map(({ kind, of }) => [kind, of]).toSorted()).toEqual(
      [['missing_blob', document.id], ['missing_passages', bare.id], ['orphaned_passages', bare.id]].toSorted());
    await findings(true);
    await Promise.all([ended(document, 2), ended(bare, 2)]);
    expect(await findings()).toEqual([]);
  });

  test('says what only a person can mend', async () => {
    const document = await ended(await rig.upload('lost.txt', 'lost'));
    await rig.blobs.delete(document.blobs.original);
    const job = await rig.ended((await rig.create('lost', rowsOf(20))).id);
    await rig.blobs.delete(blobKeys.page(TENANT, job.id, 1));
    expect((await findings(true)).map(({ kind, of, outcome }) => [kind, of, outcome]).toSorted()).toEqual(
      [['missing_blob', document.id, 'unrepairable'], ['missing_blob', job.id, 'unrepairable']].toSorted());
  });
});

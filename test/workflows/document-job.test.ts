/** A document's job from its creation to search, on the real server with the real activities. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { blobKeys } from '../../src/blobs/keys.ts';
import { documentPercent, type DocumentRecord } from '../../src/contracts/document.ts';
import { SheafError } from '../../src/contracts/errors.ts';
import { isEnded } from '../../src/contracts/job.ts';
import { openRig, TENANT, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
});
afterEach(async () => {
  rig.reader.reset();
  rig.scanner.scan = null;
  rig.scanner.mayGoUnscanned = false;
  await rig.replayAll();
});
afterAll(() => rig.close());

const ended = async (document: DocumentRecord): Promise<DocumentRecord> => {
  await rig.ended(document.job);
  return rig.whenDocument(document.id, ({ state }) => isEnded(state));
};
const blobsUnder = async (document: DocumentRecord): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of rig.blobs.list(blobKeys.documentFolder(TENANT, document.id))) keys.push(key);
  return keys;
};
/** Holds the reader at a step until told to go on; the drain of an interruption lets it. */
function hold(step: string): { reached: Promise<void>; go(): void } {
  const reached = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  rig.reader.before = async (name, signal) => {
    if (name !== step) return;
    reached.resolve();
    await Promise.race([go.promise, new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))]);
  };
  return { reached: reached.promise, go: () => go.resolve() };
}

describe('a document', () => {
  test('goes through its stages to search, and its record says what it is', async () => {
    const uploaded = await rig.upload('harvest.txt', 'The harvest of barley\nA second paragraph about wheat.\n', { tags: ['farm'] });
    expect(uploaded).toMatchObject({ state: 'queued', stage: 'upload', version: 1, documentKey: uploaded.id });
    const document = await ended(uploaded);
    expect(document).toMatchObject({
      state: 'completed', stage: 'completion', type: 'text', error: null, unscanned: true, partial: false,
      counts: { pages: 1, passages: 2, indexed: 2 }, metadata: { title: 'The harvest of barley', author: 'Ann', languages: [{ code: 'en' }] },
      published: { passages: 2 },
    });
    expect(documentPercent(document)).toBe(100);
    expect(Object.keys(document.stages)).toEqual(['validation', 'scan', 'extraction', 'chunking', 'analysis', 'indexing', 'completion']);
    expect(await rig.job(document.job)).toMatchObject({ kind: 'document', state: 'completed' });
    expect(await rig.events(document.job)).toEqual(['created', 'running', 'completed']);

    const { items } = await rig.store.search(TENANT, { terms: { all: [[['barley']]], none: [] }, filter: {} }, { limit: 10 });
    expect(items).toMatchObject([{
      kind: 'passage', document: document.id, fileName: 'harvest.txt', title: 'The harvest of barley', tags: ['farm'],
      passage: { number: 1, text: 'The harvest of barley', start: 0, end: 21, pages: [1, 1], headings: ['A heading'] },
    }]);
    expect(await rig.store.listPassages(TENANT, document.id, { limit: 1 })).toMatchObject({ items: [{ number: 1 }], nextCursor: expect.any(String) });
  });

  test('whose content is not what its name or uploader says is read as what it is, and a warning says so', async () => {
    const document = await ended(await rig.upload('report.pdf', 'Plain text after all.', { declaredType: 'docx' }));
    expect(document).toMatchObject({ state: 'completed', type: 'text' });
    expect(document.warnings.map(({ code }) => code)).toEqual(['type_mismatch', 'type_mismatch']);
  });

  test('that could be read in part is completed, marked partial, with the pages that failed', async () => {
    const document = await ended(await rig.upload('torn.txt', 'torn paper'));
    expect(document).toMatchObject({ state: 'completed', partial: true, warnings: [{ code: 'pages_failed', pages: [1] }] });
  });

  test('that cannot be read fails with the reader\'s code, and nothing of it is found', async () => {
    rig.reader.before = async (step) => {
      if (step === 'extract') throw new SheafError('corrupt_file', 'The file is damaged.', { remedy: 'Save it again.' });
    };
    const document = await ended(await rig.upload('broken.txt', 'unfindable'));
    expect(document).toMatchObject({ state: 'failed', stage: 'extraction', error: { code: 'corrupt_file', remedy: 'Save it again.' }, published: null });
    expect(await rig.found('unfindable')).toEqual([]);
    expect(await rig.job(document.job)).toMatchObject({ state: 'failed', error: { code: 'corrupt_file' } });
  });

  test('that a worker crashes on again and again fails by its limit of tries, and another is read', async () => {
    rig.reader.before = async (step) => {
      if (step === 'chunk') throw new SheafError('extraction_crashed', 'The document ended the process that read it.');
    };
    expect(await ended(await rig.upload('bomb.txt', 'bomb'))).toMatchObject({ state: 'failed', stage: 'chunking', error: { code: 'extraction_crashed' } });
    rig.reader.reset();
    expect(await ended(await rig.upload('fine.txt', 'fine'))).toMatchObject({ state: 'completed' });
  });
});

describe('pause, resume and cancel', () => {
  test('a pause lets the stage under way finish, starts no other, and resume goes on with the next: each once', async () => {
    const held = hold('extract');
    const document = await rig.upload('paused.txt', 'slow words');
    await held.reached;
    await rig.jobs.control(TENANT, document.job, 'pause');
    await rig.whenDocument(document.id, ({ state }) => state === 'pausing');
    held.go();
    const paused = await rig.whenDocument(document.id, ({ state }) => state === 'paused');
    expect(paused).toMatchObject({ stage: 'chunking', stages: { extraction: { completedAt: expect.any(String) } } });
    expect(rig.reader.calls).toEqual(['validate', 'extract']);
    await rig.jobs.control(TENANT, document.job, 'resume');
    expect(await ended(document)).toMatchObject({ state: 'completed' });
    expect(rig.reader.calls).toEqual(['validate', 'extract', 'chunk', 'analyse']);
  });

  test('a cancelled document shows nothing; a retry goes on at the stage where it stopped', async () => {
    const held = hold('analyse');
    const document = await rig.upload('cancelled.txt', 'cancelled words');
    await held.reached;
    await rig.jobs.control(TENANT, document.job, 'cancel');
    held.go();
    expect(await ended(document)).toMatchObject({ state: 'cancelled', stage: 'indexing', published: null });
    expect(await rig.found('cancelled')).toEqual([]);

    rig.reader.reset();
    await rig.jobs.retry(TENANT, document.job, { codes: null });
    expect(await rig.document(document.id)).toMatchObject({ state: 'queued', attempt: 2 });
    expect(await ended(document)).toMatchObject({ state: 'completed', attempt: 2 });
    expect(rig.reader.calls).toEqual([]);
    expect(await rig.found('cancelled')).toEqual(['cancelled words']);
  });

  test('a completed document is not retried', async () => {
    const document = await ended(await rig.upload('done.txt', 'done'));
    await expect(rig.jobs.retry(TENANT, document.job, { codes: null })).rejects.toMatchObject({ code: 'wrong_state' });
  });

  test('answers the status Query', async () => {
    const held = hold('extract');
    const document = await rig.upload('asked.txt', 'asked');
    await held.reached;
    expect(await rig.env.client.workflow.getHandle(`${document.job}/1`).query('status')).toMatchObject({ state: 'running', attempt: 1, done: false });
    held.go();
    await ended(document);
  });
});

describe('reprocessing', () => {
  test('from chunking on cuts the stored text anew, without extracting, and replaces the passages', async () => {
    const document = await ended(await rig.upload('again.txt', 'one two three four five six'));
    expect(await rig.found('five')).toEqual(['one two three four five six']);
    const before = await blobsUnder(document);
    rig.reader.calls = [];
    const again = await rig.documents.reprocess(TENANT, document.id, { from: 'chunking', options: { ...document.options, chunkSize: 2 }, password: null });
    expect(again).toMatchObject({ state: 'queued', attempt: 2 });
    expect(await ended(document)).toMatchObject({ state: 'completed', attempt: 2, options: { chunkSize: 2 }, counts: { passages: 3, indexed: 3 } });
    expect(rig.reader.calls).toEqual(['chunk', 'analyse']);
    expect(await rig.found('five')).toEqual(['five six']);
    expect(await blobsUnder(document)).toHaveLength(before.length);
  });

  test('is refused from a stage whose input was never made', async () => {
    rig.reader.before = async () => { throw new SheafError('corrupt_file', 'Damaged.'); };
    const document = await ended(await rig.upload('never.txt', 'never'));
    await expect(rig.documents.reprocess(TENANT, document.id, { from: 'chunking', options: null, password: null })).rejects.toMatchObject({ code: 'wrong_state' });
  });
});

describe('versions', () => {
  test('the passages of a new version take the place of the old when it is complete, and not before', async () => {
    const first = await ended(await rig.upload('plan.txt', 'the plan, old edition', { documentKey: 'plan' }));
    const held = hold('analyse');
    const second = await rig.upload('plan.txt', 'the plan, new edition', { documentKey: 'plan' });
    expect(second.version).toBe(2);
    await held.reached;
    expect(await rig.found('edition')).toEqual(['the plan, old edition']);
    held.go();
    await ended(second);
    expect(await rig.found('edition')).toEqual(['the plan, new edition']);
    expect(await rig.document(first.id)).toMatchObject({ published: null, state: 'completed' });
  });

  test('two at once wait for each other, and the newest is what search finds', async () => {
    const held = hold('extract');
    const one = await rig.upload('turn.txt', 'turn one', { documentKey: 'turn' });
    await held.reached;
    const two = await rig.upload('turn.txt', 'turn two', { documentKey: 'turn' });
    await rig.when(two.job, ({ state, cause }) => state === 'waiting' && cause === 'dependency');
    held.go();
    await Promise.all([ended(one), ended(two)]);
    expect(await rig.found('turn')).toEqual(['turn two']);
  });

  test('an older version that is done again does not take the place of the newer', async () => {
    const one = await ended(await rig.upload('late.txt', 'late one', { documentKey: 'late' }));
    await ended(await rig.upload('late.txt', 'late two', { documentKey: 'late' }));
    await rig.documents.reprocess(TENANT, one.id, { from: 'chunking', options: null, password: null });
    expect(await ended(one)).toMatchObject({ state: 'completed', published: null });
    expect(await rig.found('late')).toEqual(['late two']);
  });
});

describe('nearly the same text', () => {
  test('in two documents is said of the later', async () => {
    const words = Array.from({ length: 400 }, (_, index) => `word${index}`).join(' ');
    const one = await ended(await rig.upload('one.txt', words));
    const two = await ended(await rig.upload('two.txt', `${words} and a little more`));
    expect(two.similarTo).toEqual([{ document: one.id, similarity: expect.closeTo(0.98, 1) }]);
  });
});

describe('the scan', () => {
  test('of an infected file quarantines it and fails with malware_found; it is not processed again', async () => {
    rig.scanner.scan = async () => ({ clean: false, signature: 'Eicar' });
    const document = await ended(await rig.upload('evil.txt', 'evil'));
    expect(document).toMatchObject({ state: 'failed', stage: 'scan', quarantined: true, error: { code: 'malware_found' } });
    expect(document.blobs.original).toBe(blobKeys.quarantine(TENANT, document.id));
    expect(await blobsUnder(document)).toEqual([]);
    await expect(rig.documents.reprocess(TENANT, document.id, { from: null, options: null, password: null })).rejects.toMatchObject({ code: 'malware_found' });
    await expect(rig.jobs.retry(TENANT, document.job, { codes: null })).rejects.toMatchObject({ code: 'wrong_state' });
  });

  test('without a scanner waits (capacity) and goes on when it is back', async () => {
    let away = true;
    rig.scanner.scan = async () => {
      if (away) throw new SheafError('scanner_unavailable', 'The malware scanner cannot be reached.');
      return { clean: true };
    };
    const document = await rig.upload('patient.txt', 'patient');
    await rig.whenDocument(document.id, ({ state, cause }) => state === 'waiting' && cause === 'capacity');
    away = false;
    expect(await ended(document)).toMatchObject({ state: 'completed', unscanned: false });
    expect(rig.reader.calls.filter((step) => step === 'validate')).toHaveLength(1);
  });

  test('goes on without a scanner where that is configured, and marks the document', async () => {
    rig.scanner.mayGoUnscanned = true;
    rig.scanner.scan = async () => { throw new SheafError('scanner_unavailable', 'The malware scanner cannot be reached.'); };
    expect(await ended(await rig.upload('bold.txt', 'bold'))).toMatchObject({ state: 'completed', unscanned: true, warnings: [{ code: 'scanner_unavailable' }] });
  });
});

describe('a password', () => {
  test('opens the file, is in no history and no record, and is wiped once used', async () => {
    const document = await ended(await rig.upload('secret.txt', 'locked words', { password: 'open sesame' }));
    expect(document).toMatchObject({ state: 'completed' });
    expect(await rig.blobs.head(blobKeys.password(TENANT, document.id))).toBeNull();
    const history = await rig.env.client.workflow.getHandle(`${document.job}/1`).fetchHistory();
    expect(JSON.stringify([history, document, await rig.job(document.job)])).not.toContain('sesame');
  });

  test('that is missing or wrong fails the document, is wiped, and may be given again', async () => {
    const document = await ended(await rig.upload('secret.txt', 'locked away', { password: 'wrong' }));
    expect(document).toMatchObject({ state: 'failed', error: { code: 'password_wrong' } });
    expect(await rig.blobs.head(blobKeys.password(TENANT, document.id))).toBeNull();
    await rig.documents.reprocess(TENANT, document.id, { from: null, options: null, password: 'open sesame' });
    expect(await ended(document)).toMatchObject({ state: 'completed', error: null });
    expect(await rig.blobs.head(blobKeys.password(TENANT, document.id))).toBeNull();
  });
});

describe('deletion', () => {
  test('removes the record, the job, the blobs and the passages, also in the middle of a stage', async () => {
    const done = await ended(await rig.upload('gone.txt', 'gone soon'));
    const held = hold('analyse');
    const running = await rig.upload('going.txt', 'going soon');
    await held.reached;
    for (const document of [running, done]) await rig.documents.remove(TENANT, document.id);
    held.go();
    for (const { id, job } of [running, done]) {
      await expect.poll(async () => (await rig.store.getJob(TENANT, job)) === null, { timeout: 30_000 }).toBe(true);
      expect(await rig.store.getDocument(TENANT, id)).toBeNull();
    }
    expect(await rig.found('soon')).toEqual([]);
    expect([...(await blobsUnder(running)), ...(await blobsUnder(done))]).toEqual([]);
  });
});

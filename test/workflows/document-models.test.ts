/** What a document asks of models, and how long it may take. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { text } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { encodedDocument } from '../../src/api/document-files.ts';
import { endpointModels } from '../../src/models/openai-compatible.ts';
import { modelServer, type ModelServer } from '../servers/model/server.ts';
import { openRig, TENANT, type Rig } from './rig.ts';

let rig: Rig;
let server: ModelServer;
beforeAll(async () => {
  [rig, server] = await Promise.all([openRig(), modelServer()]);
  await rig.startWorkers();
});
afterEach(async () => {
  rig.reader.reset();
  Object.assign(rig.asking, { models: null, limitMs: 3_600_000 });
  Object.assign(server, { failing: [], asked: [] });
  await rig.replayAll();
});
afterAll(async () => {
  await rig.close();
  await server.close();
});

const useModels = () => { rig.asking.models = async () => endpointModels({ url: server.url, textModel: 'writer', embeddingModel: 'measurer' }); };
const paths = () => server.asked.map(({ path }) => path);

/** More than is embedded at once. */
const manyParagraphs = (about: string): string => Array.from({ length: 70 }, (_, index) => `${about} paragraph ${index}`).join('\n');

describe('a document, where models are configured', () => {
  test('has a summary, tags, and a vector for each passage; a stage that is done again pays for nothing twice', async () => {
    useModels();
    const { id, job } = await rig.upload('foxes.txt', manyParagraphs('foxes'));
    expect(await rig.ended(job)).toMatchObject({ state: 'completed' });
    expect(paths()).toEqual(['/v1/chat/completions', '/v1/embeddings', '/v1/embeddings']);
    const { metadata, warnings } = await rig.document(id);
    expect([metadata, warnings]).toMatchObject([{ summary: 'It is about foxes.', suggestedTags: ['fox', 'dog'], embeddings: { model: 'measurer' } }, []]);
    const encoded = JSON.parse(await text(Readable.from(encodedDocument(rig.blobs, await rig.document(id))))) as { chunks: { text: string; embedding: number[] }[] };
    expect(encoded.chunks.map(({ embedding }) => embedding)).toEqual(encoded.chunks.map((chunk) => [chunk.text.length, 102]));
    expect(encoded.chunks).toHaveLength(70);
    await rig.documents.reprocess(TENANT, id, { from: 'analysis', options: null, password: null });
    expect(await rig.ended(job)).toMatchObject({ state: 'completed', attempt: 2 });
    expect(paths()).toHaveLength(3);
    expect((await rig.document(id)).metadata).toEqual(metadata);
  });

  test('is ready with a warning where they fail, and asks those that failed again when it is told to', async () => {
    useModels();
    server.failing = [400];
    const { id, job } = await rig.upload('refused.txt', 'A text whose summary is refused.');
    expect(await rig.ended(job)).toMatchObject({ state: 'completed' });
    expect(await rig.document(id)).toMatchObject({ metadata: { summary: null, embeddings: { model: 'measurer' } }, warnings: [{ code: 'model_failed', message: expect.stringContaining('answered 400') }] });
    await rig.documents.reprocess(TENANT, id, { from: 'analysis', options: null, password: null });
    expect(await rig.ended(job)).toMatchObject({ state: 'completed', attempt: 2 });
    expect(await rig.document(id)).toMatchObject({ metadata: { summary: 'It is about foxes.' }, warnings: [] });
    expect(paths()).toEqual(['/v1/chat/completions', '/v1/embeddings', '/v1/chat/completions']);
  });

  test('is not asked about where none is', async () => {
    const { job, id } = await rig.upload('plain.txt', 'Nobody is asked about this.');
    await rig.ended(job);
    expect([paths(), (await rig.document(id)).metadata]).toMatchObject([[], { summary: null, suggestedTags: [], embeddings: null }]);
  });
});

describe('a document that takes longer than one may', () => {
  test('fails with a code and a remedy, whichever stage it is in, and is done where it may take longer', async () => {
    rig.asking.limitMs = 300;
    rig.reader.before = (step, signal) => step === 'extract' ? new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason as Error))) : Promise.resolve();
    const { id, job } = await rig.upload('endless.txt', 'It never ends.');
    expect(await rig.ended(job)).toMatchObject({ state: 'failed', error: { code: 'document_timeout', remedy: expect.any(String) } });
    expect(await rig.document(id)).toMatchObject({ state: 'failed', stage: 'extraction', stages: { validation: expect.anything() } });
    rig.reader.reset();
    rig.asking.limitMs = 3_600_000;
    await rig.jobs.retry(TENANT, job, { codes: null });
    expect(await rig.ended(job)).toMatchObject({ state: 'completed', attempt: 2 });
  });
});

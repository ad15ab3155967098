/** Models behind an endpoint, against a real server that speaks its protocol. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { endpointModels } from '../../src/models/openai-compatible.ts';
import { modelServer, type ModelServer } from '../servers/model/server.ts';

let server: ModelServer;
beforeAll(async () => { server = await modelServer(); });
afterEach(() => {
  server.asked.length = 0;
  server.failing = [];
});
afterAll(() => server.close());

const { signal } = new AbortController();
const models = () => endpointModels({ url: server.url, apiKey: 'a-key', textModel: 'writer', embeddingModel: 'measurer' });

describe('a model behind an endpoint', () => {
  test('describes a text, with the key and the model that were configured', async () => {
    expect(await models().text!.describe('The quick brown fox.', signal)).toEqual({ summary: 'It is about foxes.', tags: ['fox', 'dog'] });
    expect(server.asked).toMatchObject([{ path: '/v1/chat/completions', authorization: 'Bearer a-key', body: { model: 'writer' } }]);
    expect(JSON.stringify(server.asked[0]!.body.messages)).toContain('The quick brown fox.');
  });

  test('makes a vector for each text, in their order', async () => {
    expect(await models().embeddings!.embed(['abc', 'x'], signal)).toEqual([[3, 97], [1, 120]]);
    expect(server.asked).toMatchObject([{ path: '/v1/embeddings', authorization: 'Bearer a-key', body: { model: 'measurer', input: ['abc', 'x'] } }]);
  });

  test('is asked again after 429 and 5xx, and not after a refusal', async () => {
    server.failing = [429, 503, 500];
    expect(await models().text!.describe('Again.', signal)).toMatchObject({ summary: 'It is about foxes.' });
    expect(server.asked).toHaveLength(4);
    server.asked.length = 0;
    server.failing = [401];
    await expect(models().embeddings!.embed(['a'], signal)).rejects.toMatchObject({ statusCode: 401 });
    expect(server.asked).toHaveLength(1);
  });

  test('gives up when it is told to', async () => {
    await expect(models().text!.describe('Never.', AbortSignal.abort(new Error('stopped')))).rejects.toThrow();
    expect(server.asked).toHaveLength(0);
  });

  test('that is not configured is none', () => {
    expect(endpointModels({ url: server.url, textModel: 'writer' })).toMatchObject({ embeddings: null });
    expect(endpointModels({ url: server.url, embeddingModel: 'measurer' })).toMatchObject({ text: null });
  });
});

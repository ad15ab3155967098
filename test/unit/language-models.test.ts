/** Language models behind their providers' protocols: what is asked, what their failures mean, what they cost. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ModelError, ModelRequest } from '../../src/models/language-model.ts';
import { readPrices } from '../../src/models/prices.ts';
import { languageModels } from '../../src/models/providers.ts';
import { MODEL_KEY, modelsAt, NO_MODELS } from '../servers/model/models.ts';
import { modelServer, type Fault, type ModelServer } from '../servers/model/server.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await modelServer();
});
afterEach(() => {
  Object.assign(server, { asked: [], failing: [], always: null, paid: 0 });
});
afterAll(() => server.close());

const NAMES = ['openai:gpt-5-mini', 'anthropic:claude-sonnet-4-5', 'google:gemini-2.5-flash', 'openai-compatible:llama3.2'];
const { signal } = new AbortController();
const request: ModelRequest = {
  system: 'Judge.', prompt: '<data>"x"</data>', strict: true,
  schema: { type: 'object', additionalProperties: false, required: ['good'], properties: { good: { type: 'boolean' } } },
};

const say = async (name: string, over: Partial<ModelRequest> = {}) => (await modelsAt(server.url).open(name)).say({ ...request, ...over }, signal);
const failure = (name: string): Promise<ModelError> => say(name).then(() => { throw new Error('It answered.'); }, (error: ModelError) => error);

describe.each(NAMES)('%s', (name) => {
  test('is asked in its own protocol, with its key, and tells its tokens', async () => {
    server.says = '{"good":true}';
    expect(await say(name)).toEqual({ text: '{"good":true}', tokens: { input: 10, output: 5 }, cut: false });
    expect(server.asked).toHaveLength(1);
    expect(server.asked[0]!.authorization).toContain(MODEL_KEY);
    expect(server.asked[0]).toMatchObject({ system: expect.stringContaining('Judge.'), prompt: expect.stringContaining('<data>"x"</data>') });
    expect(JSON.stringify(server.asked[0]!.body)).toContain('"good"');
  });

  test('hears what was wrong with its answer', async () => {
    await say(name, { repair: { said: 'nonsense', complaint: 'It is not JSON.' } });
    expect(server.asked[0]!.prompt).toMatch(/<data>[\s\S]*nonsense[\s\S]*It is not JSON\./);
  });

  test.each<[Fault, Partial<ModelError>]>([
    [{ status: 429, retryAfter: '7' }, { code: 'rate_limited', retryable: true, retryAfterSeconds: 7 }],
    [{ status: 503, retryAfter: '2' }, { code: 'model_overloaded', retryable: true, retryAfterSeconds: 2 }],
    [500, { code: 'model_overloaded', retryable: true }],
    [529, { code: 'model_overloaded', retryable: true }],
    ['malformed', { code: 'model_unreachable', retryable: true }],
    ['cut', { code: 'model_unreachable', retryable: true }],
    ['quota', { code: 'quota_exhausted', retryable: false }],
    ['key', { code: 'model_key_rejected', retryable: false }],
    ['context', { code: 'context_too_long', retryable: false }],
    ['refused', { code: 'content_refused', retryable: false, tokens: { input: 10, output: 5 } }],
    [404, { code: 'model_not_found', retryable: false }],
    [422, { code: 'model_refused_request', retryable: false }],
  ])('fails at %j as %j, after one call', async (fault, expected) => {
    server.failing = [fault];
    const error = await failure(name);
    expect(error).toMatchObject(expected);
    expect(error.message).not.toContain(MODEL_KEY);
    expect(server.asked).toHaveLength(1);
  });

  test('lets go when it is told to', async () => {
    server.failing = ['silent'];
    const stop = new AbortController();
    const model = await modelsAt(server.url).open(name);
    const asked = model.say(request, stop.signal);
    const reason = new Error('stopped');
    stop.abort(reason);
    await expect(asked).rejects.toBe(reason);
  });
});

describe('names of models', () => {
  test.each([
    ['gpt-5', 'model_unknown', 'provider:model'], ['opena:gpt-5', 'model_unknown', 'openai'], ['openai:', 'model_unknown', 'provider:model'],
    ['openai:gpt-5', 'model_not_configured', 'OPENAI_API_KEY'], ['anthropic:claude', 'model_not_configured', 'ANTHROPIC_API_KEY'],
    ['google:gemini', 'model_not_configured', 'GOOGLE_GENERATIVE_AI_API_KEY'], ['openai-compatible:llama', 'model_not_configured', 'SHEAF_MODEL_URL'],
  ])('%s: %s', async (name, code, said) => {
    const error: unknown = await languageModels(NO_MODELS).open(name).catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ code, remedy: expect.any(String), place: { field: 'options.model' } });
    expect(JSON.stringify([error, (error as Error).message])).toContain(said);
  });

  test('that limits are called by take from them', async () => {
    const models = modelsAt(server.url, { limitNames: ['openai', 'openai:gpt-5-mini', 'google'] });
    expect((await models.open('openai:gpt-5-mini')).limits).toEqual(['openai', 'openai:gpt-5-mini']);
    expect((await models.open('anthropic:claude')).limits).toEqual([]);
  });
});

describe('prices', () => {
  const prices = readPrices('{"openai:gpt-5-mini": {"input": 0.25, "output": 2}}');
  test('are for a million tokens', () => {
    expect(modelsAt(server.url, { prices }).costOf('openai:gpt-5-mini', { input: 1_000, output: 500 })).toBeCloseTo(0.00125);
  });
  test('are unknown where the table has none, or nobody tells the tokens', () => {
    expect(modelsAt(server.url, { prices }).costOf('openai:gpt-5', { input: 1_000, output: 500 })).toBeNull();
    expect(modelsAt(server.url, { prices }).costOf('openai:gpt-5-mini', null)).toBeNull();
  });
  test.each([['{"openai:gpt-5": {"input": -1, "output": 2}}', 'openai:gpt-5.input'], ['{"openai:gpt-5": {"in": 1}}', 'openai:gpt-5'], ['/nowhere.yaml', 'cannot be read (ENOENT)']])('%s is no table', (given, said) => {
    expect(() => readPrices(given)).toThrow(said);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Json } from '../../src/contracts/row.ts';
import { isSigned } from '../../src/domain/signature.ts';
import type { HandledRow } from '../../src/handlers/handler.ts';
import { findHandler, parseOptions } from '../../src/handlers/index.ts';
import { openSecrets, readNamedSecrets } from '../../src/secrets.ts';
import { handlerContext } from '../servers/handler-context.ts';
import { startService, type Service } from '../servers/service.ts';

const SECRET = 'tok-"quoted"-s3cr3t';
let service: Service;
beforeAll(async () => {
  service = await startService();
});
beforeEach(() => {
  service.calls = [];
  service.answer = () => ({ json: { ok: true } });
});
afterAll(() => service.close());

const columns = ['id', 'Title', 'n'];
const row = (key: string, input: Record<string, string | number | null> = {}): HandledRow => ({ row: 2, key, inputHash: 'h', input: { id: key, Title: `Idea ${key}`, n: 3, ...input }, callKey: `call-${key}` });
const secrets = () => openSecrets(readNamedSecrets(JSON.stringify({ video: { env: 'VIDEO_KEY', hosts: [service.host], tenants: ['acme'] }, elsewhere: { env: 'VIDEO_KEY', hosts: ['video.example.com'] } })), { VIDEO_KEY: SECRET });

async function prepare(options: { [name: string]: Json }, tenant = 'acme') {
  const http = findHandler('http');
  return http.prepare(parseOptions(http, { url: `${service.url}/make`, ...options }), handlerContext({ columns, tenant, secret: (name, host) => secrets()(name, { tenant, host }) }));
}
const run = async (options: { [name: string]: Json }, rows = [row('a')]) => (await prepare(options)).handle(rows, new AbortController().signal);

describe('a request', () => {
  test('has the whole row and a key that names the call, where nothing else is asked for', async () => {
    expect(await run({})).toEqual([{ output: { ok: true } }]);
    expect(service.calls).toMatchObject([{ method: 'POST', path: '/make', body: { key: 'a', row: 2, input: { id: 'a', Title: 'Idea a', n: 3 } }, headers: { 'idempotency-key': 'call-a', 'content-type': 'application/json' } }]);
  });

  test('is made of a template; a text that is one place keeps the type, and what a cell says is never a place itself', async () => {
    const body = { prompt: 'Make: {{Title}}!', count: '{{n}}', deep: [{ id: '{{$key}}', at: '{{$row}}' }], call: '{{$call}}' };
    await run({ body, url: `${service.url}/v/{{id}}?t={{Title}}` }, [row('a/b?', { Title: '{{id}} & {{secret:video}}', n: null })]);
    expect(service.calls[0]).toMatchObject({
      path: `/v/a%2Fb%3F?t=${encodeURIComponent('{{id}} & {{secret:video}}')}`,
      body: { prompt: 'Make: {{id}} & {{secret:video}}!', count: null, deep: [{ id: 'a/b?', at: 2 }], call: 'call-a/b?' },
    });
  });

  test('reads only the columns that it names', async () => {
    expect((await prepare({ body: { t: '{{Title}}' } })).reads).toEqual(['Title']);
    expect((await prepare({ method: 'GET', url: `${service.url}/{{id}}` })).reads).toEqual(['id']);
    expect((await prepare({})).reads).toBeNull();
  });

  test('carries a secret to the hosts that may have it, and is signed', async () => {
    await run({ headers: { Authorization: 'Bearer {{secret:video}}' }, signing: 'video' });
    const [{ headers, text }] = service.calls as [Service['calls'][number]];
    expect(headers.authorization).toBe(`Bearer ${SECRET}`);
    expect(headers['webhook-id']).toBe('call-a');
    expect(isSigned(SECRET, headers, Buffer.from(text), Date.now())).toBe(true);
    expect(isSigned(SECRET, headers, Buffer.from(`${text} `), Date.now())).toBe(false);
    expect(isSigned(SECRET, headers, Buffer.from(text), Date.now() + 301_000)).toBe(false);
    expect(isSigned('other', headers, Buffer.from(text), Date.now())).toBe(false);
  });
});

describe('before the first call it is an error', () => {
  test.each<[string, { [name: string]: Json }, string]>([
    ['a column that is not there', { body: { x: '{{Titel}}' } }, 'column_missing'],
    ['a column in the address that is not there', { url: 'http://127.0.0.1/{{nope}}' }, 'column_missing'],
    ['a secret that nobody configured', { headers: { 'x-key': '{{secret:nobody}}' } }, 'secret_unknown'],
    ['a secret that may not be sent to this host', { headers: { 'x-key': '{{secret:elsewhere}}' } }, 'secret_not_allowed'],
    ['a column in a header', { headers: { 'x-title': '{{Title}}' } }, 'invalid_options'],
    ['a header that is Sheaf\'s', { headers: { 'Idempotency-Key': 'x' } }, 'invalid_options'],
    ['a place in the host', { url: 'http://{{id}}.example.com/' }, 'invalid_options'],
    ['a password in the address', { url: 'http://u:p@example.com/' }, 'invalid_options'],
    ['a pointer that is none', { output: { url: 'data.url' } }, 'invalid_options'],
    ['a GET with a body', { method: 'GET', body: {} }, 'invalid_options'],
  ])('%s', async (_, options, code) => {
    await expect(prepare(options)).rejects.toMatchObject({ code });
    expect(service.calls).toEqual([]);
  });

  test('a secret of another tenant, without a word of its value', async () => {
    const error: unknown = await prepare({ headers: { 'x-key': '{{secret:video}}' } }, 'globex').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'secret_unknown' });
    expect(String(error)).not.toContain('s3cr3t');
  });
});

describe('an answer', () => {
  test('is mapped to columns, with what it cost', async () => {
    service.answer = () => ({ json: { data: [{ 'a/b': 'u' }], price: 0.25, meta: { seconds: 8, tokens: 70 } } });
    const output = { output_url: '/data/0/a~1b', duration: '/meta/seconds', quality: '/nowhere' };
    expect(await run({ output, cost: '/price', tokens: '/meta/tokens' })).toEqual([{ output: { output_url: 'u', duration: 8, quality: null }, cost: 0.25, tokens: 70 }]);
    service.answer = () => ({ json: {} });
    expect(await run({ output })).toMatchObject([{ error: { code: 'invalid_answer', retryable: false } }]);
  });

  test.each<[number, Record<string, string>, object]>([
    [400, {}, { error: { code: 'service_refused', retryable: false, message: 'The service answered 400: no such style' } }],
    [404, {}, { error: { code: 'service_refused', retryable: false } }],
    [429, { 'retry-after': '7' }, { error: { code: 'service_busy', retryable: true }, retryAfterSeconds: 7 }],
    [503, { 'retry-after': '99999' }, { error: { code: 'service_failed', retryable: true }, retryAfterSeconds: 3_600 }],
    [500, {}, { error: { code: 'service_failed', retryable: true } }],
    [401, {}, { halt: { code: 'service_denied' } }],
    [403, {}, { halt: { code: 'service_denied' } }],
    [302, { location: 'http://127.0.0.1:1/' }, { halt: { code: 'service_redirected' } }],
  ])('of %i is sorted', async (status, headers, outcome) => {
    service.answer = () => ({ status, headers, json: { error: { message: 'no such style' } } });
    expect(await run({})).toMatchObject([outcome]);
    expect(service.calls).toHaveLength(1);
  });

  test('that is no JSON, too large or does not come fails the row', async () => {
    service.answer = () => ({ text: '<html>' });
    expect(await run({})).toMatchObject([{ error: { code: 'invalid_answer' } }]);
    service.answer = () => ({ text: 'x'.repeat(2 << 20) });
    expect(await run({})).toMatchObject([{ error: { code: 'answer_too_large', retryable: false } }]);
    service.answer = () => new Promise(() => {});
    expect(await run({ timeoutSeconds: 0.1 })).toMatchObject([{ error: { code: 'answer_timeout', retryable: true } }]);
    expect(await run({ url: 'http://127.0.0.1:1/' })).toMatchObject([{ error: { code: 'connection_failed', retryable: true } }]);
  });

  test('from a private address that nobody allowed is never asked for', async () =>
    expect(await run({ url: 'http://10.0.0.1/' })).toMatchObject([{ halt: { code: 'url_not_allowed' } }]));

  test('that repeats the secret is kept without it', async () => {
    service.answer = ({ headers }) => ({ status: 400, json: { error: `bad header ${headers['authorization']}` } });
    const options = { headers: { authorization: 'Bearer {{secret:video}}' } };
    expect(JSON.stringify(await run(options))).not.toContain('s3cr3t');
    service.answer = ({ headers }) => ({ json: { seen: headers['authorization'] } });
    expect(await run(options)).toEqual([{ output: { seen: 'Bearer [secret]' } }]);
  });
});

test('rows in one request are told apart by their ids, each with its own outcome', async () => {
  service.answer = () => ({ json: { rows: [{ id: 'b', url: 'u-b', cost: 2 }, { id: 'c', error: 'too rude' }, { id: 'd' }, { id: 'd' }] } });
  const rows = ['a', 'b', 'c', 'd'].map((key) => row(key));
  expect(await run({ rowsPerRequest: 10, body: { t: '{{Title}}' }, output: { url: '/url' } }, rows)).toMatchObject([
    { error: { code: 'invalid_answer' } }, { output: { url: 'u-b' }, cost: 2 }, { error: { code: 'service_refused', message: 'The service refused the row: too rude' } }, { error: { code: 'invalid_answer' } },
  ]);
  expect(service.calls[0]?.body).toMatchObject({ rows: [{ id: 'a', body: { t: 'Idea a' } }, { id: 'b' }, { id: 'c' }, { id: 'd' }] });
});

test('what changes the output makes another handler of it; a secret and a timeout do not', async () => {
  const identity = async (options: { [name: string]: Json }) => JSON.stringify((await prepare(options)).identity);
  const plain = await identity({});
  expect(await identity({ timeoutSeconds: 5, headers: { 'x-key': '{{secret:video}}' }, concurrency: 2 })).toBe(plain);
  for (const other of [{ version: '2' }, { headers: { 'x-model': 'big' } }, { body: { t: '{{Title}}' } }, { output: { a: '/a' } }]) expect(await identity(other)).not.toBe(plain);
});

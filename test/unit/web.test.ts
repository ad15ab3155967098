import { createServer } from 'node:net';
import { once } from 'node:events';
import zlib from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readAllowedHosts } from '../../src/web/addresses.ts';
import { createWeb, type Web, type WebRequest } from '../../src/web/web.ts';
import { makeCertificate } from '../servers/certificate.ts';
import { dnsServer, type DnsServer } from '../servers/dns.ts';
import { page, redirect, startSite, type Site } from '../servers/site/server.ts';

let dns: DnsServer;
let site: Site;
/** Nothing is allowed. */
let strict: Web;
/** The site's own address and port are. */
let web: Web;

beforeAll(async () => {
  dns = await dnsServer();
  site = await startSite();
  strict = createWeb({ allowed: readAllowedHosts(undefined), dnsServers: [dns.address] });
  web = createWeb({ allowed: readAllowedHosts(`127.0.0.1:${site.port}`), dnsServers: [dns.address] });
});
afterEach(() => {
  site.pages.clear();
  dns.names.clear();
});
afterAll(async () => {
  await Promise.all([strict.close(), web.close()]);
  await Promise.all([site.close(), dns.close()]);
});

const codeOf = async (request: Promise<unknown>): Promise<unknown> => request.then(() => 'answered', (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error));
const get = (path: string, more: Partial<WebRequest> = {}, by = web): Promise<string> => by.request({ url: path.startsWith('/') ? `${site.url}${path}` : path, ...more }).then(({ body }) => body.toString());

describe('nothing inside is reached', () => {
  test.each([
    ['127.0.0.1'], ['0.0.0.0'], ['10.0.0.1'], ['169.254.169.254'], ['100.100.100.200'], ['::1'], ['::ffff:127.0.0.1'], ['64:ff9b::7f00:1'], ['2002:7f00:1::'], ['fd00:ec2::254'], ['fe80::1'],
    ['127.0.0.1', '::1'],
  ])('by a name that DNS says is at %s', async (...addresses) => {
    dns.names.set('site.example', addresses);
    const before = site.connections();
    expect(await codeOf(get(`http://site.example:${site.port}/`, {}, strict))).toBe('url_not_allowed');
    expect(site.connections()).toBe(before);
  });

  test.each(['localhost', 'localhost.', 'any.localhost', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]'])('by %s', async (host) => {
    const entrance = createWeb({ allowed: readAllowedHosts('entrance.test'), dnsServers: [dns.address] });
    site.pages.set('/inside', page('inside'));
    const [connections, url] = [site.connections(), `http://${host}:${site.port}/inside`];
    expect([await codeOf(get(url, {}, strict)), await codeOf(get(url, {}, entrance))]).toEqual(['url_not_allowed', 'url_not_allowed']);
    expect(site.connections()).toBe(connections);
    await entrance.close();
  });

  test.each(['http://127.0.0.2:PORT/x', 'http://inside.example:PORT/x', 'http://[::1]:PORT/x', '//2130706434:PORT/x', 'http://169.254.169.254/latest/meta-data'])('by a redirect to %s', async (target) => {
    dns.names.set('inside.example', ['127.0.0.3']);
    site.pages.set('/', redirect(target.replace('PORT', String(site.port)), 307));
    const asked = site.asked.length;
    expect(await codeOf(get('/', { redirects: 5 }))).toBe('url_not_allowed');
    expect(site.asked.slice(asked).map(({ path }) => path)).toEqual(['/']);
  });

  test('by a name whose address changes: each connection is to an address that was looked at', async () => {
    const answers = [['127.0.0.1'], ['127.0.0.2']];
    dns.names.set('rebinding.example', () => answers[Math.min(1, Math.floor((dns.asked.length - 1) / 2))]!);
    dns.asked.length = 0;
    site.pages.set('/', page('first', { connection: 'close' }));
    const url = `http://rebinding.example:${site.port}/`;
    expect(await get(url)).toBe('first');
    expect(dns.asked).toHaveLength(2); // A and AAAA, once: nobody asked a second time before connecting
    const asked = site.asked.length;
    expect(await codeOf(get(url))).toBe('url_not_allowed');
    expect(site.asked.length).toBe(asked);
  });

  test('by one of several addresses: the others are used', async () => {
    dns.names.set('mixed.example', ['127.0.0.2', '127.0.0.1', '::1']);
    site.pages.set('/', (_, response, raw) => void response.end(raw.socket.localAddress));
    expect(await get(`http://mixed.example:${site.port}/`)).toBe('127.0.0.1');
  });

  test('on another port than the one that is allowed', async () => {
    expect(await codeOf(get(`http://127.0.0.1:${site.port - 1}/`))).toBe('url_not_allowed');
  });
});

test('a name on the list may be anywhere', async () => {
  const named = createWeb({ allowed: readAllowedHosts(`localhost:${site.port}`), dnsServers: [dns.address] });
  site.pages.set('/', page('mine'));
  expect(await get(`http://localhost:${site.port}/`, {}, named)).toBe('mine');
  expect(await codeOf(get('/', {}, named))).toBe('url_not_allowed');
  await named.close();
});

describe('redirects', () => {
  test('are the answer, unless they are to be followed', async () => {
    site.pages.set('/', redirect('/next'));
    expect(await web.request({ url: `${site.url}/` })).toMatchObject({ status: 302, headers: { location: '/next' } });
  });

  test('are followed one by one, as the standard says, after whoever asks has agreed', async () => {
    for (const [at, status] of [[1, 301], [2, 302], [3, 307], [4, 308], [5, 303]] as const) site.pages.set(`/${at}`, redirect(`/${at + 1}`, status));
    site.pages.set('/6', ({ method, headers }, response) => void response.end(`${method} ${headers['content-type'] ?? 'without'}`));
    const hops: string[] = [];
    const answer = await web.request({ url: `${site.url}/3`, method: 'POST', body: 'x', headers: { 'Content-Type': 'text/plain' }, redirects: 5, beforeRedirect: async ({ pathname }) => void hops.push(pathname) });
    expect({ hops, url: answer.url, body: answer.body.toString() }).toEqual({ hops: ['/4', '/5', '/6'], url: `${site.url}/6`, body: 'GET without' });
    expect(site.asked.slice(-4).map(({ method, body }) => `${method} ${body}`)).toEqual(['POST x', 'POST x', 'POST x', 'GET ']);
    expect(await codeOf(get('/1', { redirects: 5, beforeRedirect: () => Promise.reject(new Error('no')) }))).toEqual(new Error('no'));
  });

  test('without end are told', async () => {
    site.pages.set('/a', redirect('/b'));
    site.pages.set('/b', redirect('/a'));
    site.pages.set('/n', (request, response) => redirect(`/n?${Number(request.path.split('?')[1] ?? 0) + 1}`)(request, response, undefined as never));
    expect([await codeOf(get('/a', { redirects: 9 })), await codeOf(get('/n', { redirects: 9 }))]).toEqual(['redirect_loop', 'redirect_loop']);
  });

  test.each(['javascript:alert(1)', 'file:///etc/passwd', 'http://', 'http://a:b@example.com/'])('to %s are told', async (target) => {
    site.pages.set('/', redirect(target));
    expect(await codeOf(get('/', { redirects: 2 }))).toBe('redirect_invalid');
  });

  test('take keys to no other server', async () => {
    dns.names.set('other.example', ['127.0.0.1']);
    site.pages.set('/', redirect(`http://other.example:${site.port}/there`));
    site.pages.set('/there', page('there'));
    await get('/', { redirects: 2, headers: { Authorization: 'Bearer key', Cookie: 'c', 'X-Api-Key': 'key', 'User-Agent': 'Tester' } });
    const { headers } = site.asked.at(-1)!;
    expect([headers.authorization, headers.cookie, headers['x-api-key'], headers['user-agent']]).toEqual([undefined, undefined, undefined, 'Tester']);
  });
});

describe('answers', () => {
  const text = 'A page that says the same thing again. '.repeat(500);

  test.each([['gzip', zlib.gzipSync(text)], ['x-gzip', zlib.gzipSync(text)], ['deflate', zlib.deflateSync(text)], ['br', zlib.brotliCompressSync(text)], ['zstd', zlib.zstdCompressSync(text)], ['gzip, br', zlib.brotliCompressSync(zlib.gzipSync(text))], ['identity', Buffer.from(text)]])(
    'packed by %s are unpacked', async (encoding, body) => {
      site.pages.set('/', page(body, { 'content-encoding': encoding }));
      expect(await get('/')).toBe(text);
    });

  test('that are no such packing, or are packed too often, are damaged', async () => {
    for (const encoding of ['gzip', 'br', 'zstd', 'deflate', 'compress', 'gzip, gzip, gzip']) {
      site.pages.set('/', page('<html>not packed at all</html>', { 'content-encoding': encoding }));
      expect([encoding, await codeOf(get('/'))]).toEqual([encoding, 'answer_damaged']);
    }
  });

  test('of an error are answers as well', async () => {
    site.pages.set('/', page('busy', { 'retry-after': '7' }, 503));
    expect(await web.request({ url: `${site.url}/` })).toMatchObject({ status: 503, headers: { 'retry-after': '7' }, body: Buffer.from('busy') });
  });

  test('that are too large are left where they are, whether or not they say so', async () => {
    const limits = { bytes: 100_000 };
    site.pages.set('/says', (_, response) => void response.writeHead(200, { 'content-length': String(100 * 2 ** 20) }).write('x'));
    site.pages.set('/says-not', (_, response) => {
      const more = (): void => { while (!response.destroyed && response.write(Buffer.alloc(16_384))); };
      response.on('drain', more);
      more();
    });
    expect(await Promise.all([codeOf(get('/says', { limits })), codeOf(get('/says-not', { limits }))])).toEqual(['answer_too_large', 'answer_too_large']);
  });

  test('that unpack to too much are left packed', async () => {
    const bomb = zlib.gzipSync(Buffer.alloc(64 * 2 ** 20));
    site.pages.set('/', page(bomb, { 'content-encoding': 'gzip' }));
    site.pages.set('/twice', page(zlib.gzipSync(bomb), { 'content-encoding': 'gzip, gzip' }));
    expect(await Promise.all(['/', '/twice'].map((path) => codeOf(get(path, { limits: { inflatedBytes: 2 ** 20 } }))))).toEqual(['answer_inflates', 'answer_inflates']);
  });

  test('that never begin, or never end, are given up', async () => {
    site.pages.set('/silent', () => undefined);
    site.pages.set('/endless', (_, response) => {
      const drip = setInterval(() => response.write('.'), 10);
      response.on('close', () => clearInterval(drip));
    });
    expect(await codeOf(get('/silent', { limits: { answerMs: 50 } }))).toBe('answer_timeout');
    expect(await codeOf(get('/endless', { limits: { totalMs: 300 } }))).toBe('answer_timeout');
  });

  test('of a type that is not asked for are not read', async () => {
    site.pages.set('/', page('PNG', { 'content-type': 'image/png' }));
    site.pages.set('/error', page('{}', { 'content-type': 'application/json' }, 404));
    site.pages.set('/html', page('yes', { 'content-type': 'Text/HTML;charset=utf-8' }));
    const types = ['text/html'];
    expect([await codeOf(get('/', { types })), await codeOf(get('/error', { types })), await get('/html', { types })]).toEqual(['content_type_refused', 'answered', 'yes']);
  });
});

describe('connections that fail', () => {
  const raw = async (answer: string | null): Promise<{ url: string; by: Web; refuse(): void }> => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => (answer === null ? socket.resetAndDestroy() : socket.end(answer)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const by = createWeb({ allowed: readAllowedHosts('127.0.0.1') });
    return { url: `http://127.0.0.1:${port}/`, by, refuse: () => void server.close() };
  };

  test.each([
    [null, 'connection_lost'], ['HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut', 'connection_lost'], ['220 smtp ready\r\n', 'answer_damaged'],
    [`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`, 'answer_damaged'],
  ])('by the server, case %#, are told apart', async (answer, code) => {
    const server = await raw(answer);
    expect(await codeOf(server.by.request({ url: server.url }))).toBe(code);
    server.refuse();
    if (answer === null) expect(await codeOf(server.by.request({ url: server.url }))).toBe('connection_failed');
    await server.by.close();
  });

  test('because there is no such name, or DNS fails', async () => {
    dns.names.set('broken.example', null);
    dns.names.set('empty.example', []);
    expect(await Promise.all(['nowhere.example', 'empty.example', 'broken.example'].map((host) => codeOf(get(`http://${host}/`))))).toEqual(['dns_failed', 'dns_failed', 'dns_unavailable']);
  });

  const certificate = makeCertificate('certificates that nobody vouches for');
  test.skipIf(certificate === null)('because nobody vouches for the certificate, or there is none', async () => {
    const secure = await startSite({ '/': page('secret') }, certificate!);
    const open = createWeb({ allowed: readAllowedHosts('127.0.0.1') });
    expect(await codeOf(get(`${secure.url}/`, {}, open))).toBe('tls_failed');
    expect(await codeOf(get(`https://127.0.0.1:${site.port}/`, {}, open))).toBe('tls_failed');
    await open.close();
    await secure.close();
  });

  test('because whoever asked has lost interest', async () => {
    site.pages.set('/silent', () => undefined);
    const gone = new AbortController();
    const asked = codeOf(get('/silent', { signal: gone.signal }));
    gone.abort(new Error('never mind'));
    expect(await asked).toEqual(new Error('never mind'));
    expect(await codeOf(get('/silent', { signal: gone.signal }))).toEqual(new Error('never mind'));
  });
});

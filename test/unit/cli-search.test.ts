/** `sheaf search` as a process, against an API that answers by script. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { type SearchHitAnswer, searchHitAnswer } from '../../src/contracts/search-api.ts';
import { type Answer, type Asked, problem, type ScriptedApi, scriptedApi } from '../servers/scripted-api.ts';

const MAIN = path.resolve('src/cli/main.ts');

let api: ScriptedApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});

async function search(script: (asked: Asked) => Answer, args: string[], environment: Record<string, string> = {}) {
  api = await scriptedApi(script);
  const child = spawn(process.execPath, [MAIN, 'search', ...args], { env: { PATH: process.env['PATH'] ?? '', SHEAF_API_URL: api.url, ...environment } });
  child.stdin.end();
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close') as Promise<[number | null]>]);
  return { out, err, code, queries: api.asked.map(({ path: asked, query }) => `${asked}?${query}`) };
}

const hit = (more: Partial<SearchHitAnswer> = {}): SearchHitAnswer => searchHitAnswer.parse({
  kind: 'item', source: 'tickets', lane: 'store', key: 'T-1', row: 2, state: 'done', job: '01JOB', tags: [], updatedAt: '2026-11-23T10:00:00.000Z',
  input: { subject: 'Charged twice', n: null }, output: null, highlights: [], ...more,
});
const hits = (...items: SearchHitAnswer[]): Answer => ({ json: { items, nextCursor: null } });
const inSubject = (...parts: [string, boolean][]): SearchHitAnswer['highlights'] => [{ in: 'input', name: 'subject', parts: parts.map(([part, match]) => ({ text: part, match })) }];

describe('sheaf search', () => {
  test('asks for the words with every filter, and prints where each row is and what it says', async () => {
    const { out, code, queries } = await search(
      () => hits(hit({ highlights: inSubject(['Charged ', false], ['twice', true]) }), hit({ key: 'T-2', state: 'failed', error: { code: 'no_match', message: 'm', retryable: false } })),
      ['charged', '-hotel', '"twice over"', '-october', '--source', 'tickets', '--lane', 'store', '--job', '01JOB', '--tag', 'a', '--tag', 'b', '--state', 'done', '--since', '2026-11-01', '--until', '2026-12-01', '--limit', '5'],
    );
    expect(out).toBe('tickets/store  T-1  row 2  done\n  subject: Charged twice\ntickets/store  T-2  row 2  failed (no_match)\n  Charged twice\n');
    expect(code).toBe(0);
    expect(queries).toEqual(['/search?q=charged+-hotel+%22twice+over%22+-october&source=tickets&lane=store&job=01JOB&tag=a&tag=b&state=done&since=2026-11-01&until=2026-12-01&limit=5']);
  });

  test('marks the words where colour is shown, keeps right-to-left text together, and lets nothing steer the terminal', async () => {
    const { out } = await search(
      () => hits(hit({ key: 'k\u001b[2J', highlights: inSubject(['שלום ', false], ['עולם', true], ['\u001b]0;t\u0007', false]) })),
      ['עולם'], { FORCE_COLOR: '1' },
    );
    expect(out).toContain('\u2068שלום \u001b[1mעולם\u001b[22m]0;t\u2069\n');
    expect(out).not.toContain('\u001b[2J');
    expect(out).not.toContain('\u0007');
  });

  test('reads page by page up to the limit, and says when there is more', async () => {
    const { out, err, queries } = await search(({ query }) => {
      const count = Number(query.get('limit'));
      return { json: { items: Array.from({ length: count }, () => hit()), nextCursor: 'next' } };
    }, ['charged', '--limit', '130', '--json']);
    expect((JSON.parse(out) as { items: unknown[] }).items).toHaveLength(130);
    expect(queries).toEqual(['/search?q=charged&limit=100', '/search?q=charged&limit=30&cursor=next']);
    expect(err).toBe('');
    const shown = await search(() => ({ json: { items: [hit()], nextCursor: 'next' } }), ['charged', '--limit', '1']);
    expect(shown.err).toContain('There are more');
  });

  test('finding nothing is no failure; a query without words is wrong usage', async () => {
    expect(await search(() => hits(), ['absent'])).toMatchObject({ out: '', err: 'Nothing found.\n', code: 0 });
    expect(await search(() => problem(400, 'invalid_query', 'The query has no word.', { remedy: 'Search for a word.' }), ['"-"']))
      .toMatchObject({ out: '', err: 'error: The query has no word.\n  Search for a word.\n', code: 2 });
    expect((await search(() => hits(), [])).code).toBe(2);
    expect(await search(() => hits(), ['wine', '--sorce', 'x'])).toMatchObject({ code: 2, queries: [] });
    expect((await search(() => hits(), ['-red'])).queries).toEqual(['/search?q=-red&limit=20']);
  });
});

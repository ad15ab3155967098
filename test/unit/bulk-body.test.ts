/** A bulk request's words: what it takes, and what is sent again of it. */
import { expect, it } from 'vitest';
import { BulkBody, lineOf } from '../../src/store/elasticsearch/bulk.ts';
import type { Cluster } from '../../src/store/elasticsearch/connection.ts';
import { Names } from '../../src/store/elasticsearch/schema.ts';

const cluster = { names: new Names('sheaf') } as unknown as Cluster;
const line = (id: string, source: string | null, kind: 'items' | 'jobs' = 'items'): string => lineOf(cluster, { kind, tenant: 'acme', id, fence: 7n, source });

it('takes what surely has room, in order, and says where the rest begins', () => {
  const lines = Array.from({ length: 3_500 }, (_, n) => line(`id${n}`, '{}'));
  const body = new BulkBody();
  expect(body.take(lines, 0)).toBe(3_000);
  expect(body.take(lines, 3_000)).toBe(3_000);
  expect(body.bytes().toString()).toBe(lines.slice(0, 3_000).join(''));
});

it('has at most five megabytes, unless one write alone is larger', () => {
  const wide = Array.from({ length: 9 }, (_, n) => line(`id${n}`, JSON.stringify('ש'.repeat(600_000))));
  const body = new BulkBody();
  const taken = body.take(wide, 0);
  expect(taken).toBeGreaterThan(1);
  expect(body.bytes().length).toBeLessThanOrEqual(5 * 2 ** 20);
  const huge = [line('huge', JSON.stringify('x'.repeat(6_000_000))), line('next', '{}')];
  expect(new BulkBody().take(huge, 0)).toBe(1);
});

it('sends some of its writes again as they were, removals among them', () => {
  const lines = [line('a', '{"text":"Ä\\n{"}'), line('b', null), line('c', null), line('d', '{"delete":{}}'), line('e', null, 'jobs')];
  const body = new BulkBody();
  body.take(lines, 0);
  for (const indexes of [[0], [1, 3], [0, 2, 4], [4]]) expect(body.bytes(indexes).toString()).toBe(indexes.map((index) => lines[index]).join(''));
  expect(body.sourceOf(0)).toBe('{"text":"Ä\\n{"}');
  expect(body.sourceOf(3)).toBe('{"delete":{}}');
});

it('is used again for other writes, of which nothing is left of the ones before', () => {
  const body = new BulkBody(1_000);
  body.take([line('a', '{"text":"long"}'), line('b', null)], 0);
  body.bytes([1]);
  body.empty();
  body.take([line('c', '{}'), line('d', '{"n":1}')], 0);
  expect([body.count, body.sourceOf(0), body.sourceOf(1)]).toEqual([2, '{}', '{"n":1}']);
});

it('says only where a write goes that does not go where most do, and that a write to an index is none to an alias', () => {
  const head = (text: string): unknown => JSON.parse(text.split('\n')[0]!);
  expect(head(line('a', '{}'))).toEqual({ index: { _id: 'a', routing: 'acme', version: 7, version_type: 'external_gte' } });
  expect(head(line('a', '{}', 'jobs'))).toMatchObject({ index: { _index: 'sheaf-jobs-write' } });
  expect(head(lineOf(cluster, { kind: 'items', into: 'sheaf-items-v9', tenant: 'acme', id: 'a', source: '{}' }))).toMatchObject({ index: { _index: 'sheaf-items-v9', require_alias: false } });
});

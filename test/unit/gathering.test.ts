/** How long documents wait for others before they are sent to Elasticsearch together. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Cluster } from '../../src/store/elasticsearch/connection.ts';
import { gathering } from '../../src/store/elasticsearch/gathering.ts';
import { Names } from '../../src/store/elasticsearch/schema.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A cluster that never answers, and how many documents each request to it had. */
function open(): { sent: number[]; write(documents?: number): void } {
  const sent: number[] = [];
  const request = ({ bulkBody }: { bulkBody: Buffer }): Promise<never> => {
    sent.push(String(bulkBody).trimEnd().split('\n').length / 2);
    return new Promise(() => {});
  };
  const cluster = { names: new Names('sheaf'), client: { transport: { request } }, call: <T>(ask: () => Promise<T>) => ask() };
  const gather = gathering(cluster as unknown as Cluster);
  let id = 0;
  return { sent, write: (documents = 1) => void gather(Array.from({ length: documents }, () => ({ kind: 'items', tenant: 'acme', id: String(id++), source: '{}' }))) };
}

it('what comes when nothing is under way is sent at once', () => {
  const { sent, write } = open();
  write();
  expect(sent).toEqual([1]);
});

it('what comes meanwhile is sent together, when nothing more has come for ten milliseconds', async () => {
  const { sent, write } = open();
  write();
  write();
  await vi.advanceTimersByTimeAsync(9);
  write(2);
  await vi.advanceTimersByTimeAsync(9);
  expect(sent).toEqual([1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(sent).toEqual([1, 3]);
});

it('at the latest after a tenth of a second, or when it is worth a request', async () => {
  const { sent, write } = open();
  write();
  for (let after = 0; after < 100; after += 5) {
    write();
    await vi.advanceTimersByTimeAsync(5);
  }
  expect(sent).toEqual([1, 20]);
  write(1_500);
  expect(sent).toEqual([1, 20, 1_500]);
});

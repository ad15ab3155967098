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

it('the memory of a request that was answered is written to again, that of one that was given up never', async () => {
  const requests: { memory: ArrayBufferLike; answer(): void; cut(): void }[] = [];
  const request = ({ bulkBody }: { bulkBody: Buffer }): Promise<unknown> =>
    new Promise((resolve, reject) => {
      requests.push({ memory: bulkBody.buffer, answer: () => resolve({ errors: false }), cut: () => reject(new Error('cut')) });
    });
  const cluster = { names: new Names('sheaf'), client: { transport: { request } }, call: <T>(ask: () => Promise<T>) => ask() };
  const gather = gathering(cluster as unknown as Cluster);
  const write = (): Promise<unknown> => gather(Array.from({ length: 1_500 }, (_, id) => ({ kind: 'items', tenant: 'acme', id: String(id), source: '{}' })));
  const writes = [write(), write()];
  requests[0]!.answer();
  expect(await writes[0]).toHaveLength(1_500);
  await vi.advanceTimersByTimeAsync(0);
  writes.push(write());
  requests[1]!.cut();
  await expect(writes[1]).rejects.toThrow('cut');
  await vi.advanceTimersByTimeAsync(0);
  writes.push(write());
  const memories = requests.map(({ memory }) => memory);
  expect(memories[2]).toBe(memories[0]);
  expect([memories[0], memories[1]]).not.toContain(memories[3]);
});

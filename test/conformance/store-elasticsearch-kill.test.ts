/** `kill -9` of Elasticsearch while rows are written: what was acknowledged is there, what was not can be written again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import { openElasticsearchStore } from '../../src/store/elasticsearch.ts';
import type { Store } from '../../src/store/store.ts';
import { startElasticsearch } from '../servers/elasticsearch/server.ts';
import { orMissing } from '../servers/missing.ts';
import { aFailedRow, aJob, aLane, anItem, aPage } from './store-samples.ts';

const server = await orMissing('for lack of an Elasticsearch that may be killed', startElasticsearch());

describe.skipIf(server === null)('an Elasticsearch that is killed', () => {
  const BATCHES = 30;
  const ROWS = 100;
  let store: Store;
  beforeAll(async () => {
    store = await openElasticsearchStore({ nodes: [server!.url], prefix: 'kill' });
  });
  afterAll(async () => {
    await store.close();
    await server!.stop();
  });

  /** As an activity does: again until it is acknowledged; only a store that is away is waited for. */
  const untilDone = async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof SheafError) || error.code !== 'store_unavailable') throw error;
        await sleep(50);
      }
    }
  };

  it('loses nothing that was acknowledged, and writers go on by themselves when it is back', async () => {
    const lane = aLane();
    const acknowledged: number[] = [];
    await store.createJob(aJob('j1', { state: 'running' }), { key: 'k', requestHash: 'h' });
    const { generation } = await store.acquireLane(lane, 'j1', 1);
    const rowsOf = (batch: number) => Array.from({ length: ROWS }, (_, n) => batch * ROWS + n);
    const write = async (writer: number): Promise<void> => {
      for (let batch = writer; batch < BATCHES; batch += 2) {
        await untilDone(() => store.commitRows({
          lane, job: 'j1', tags: [], fence: 5n, cleared: [], failed: [aFailedRow(100_000 + batch, 'bad')],
          items: rowsOf(batch).map((row) => anItem(`k${row}`, { row }, { row })),
        }));
        await untilDone(() => store.writePage('acme', 'j1', aPage(batch, { fence: 5n, counts: { done: ROWS, unchanged: 0, failed: 1, skipped: 0 } })));
        await untilDone(() => store.appendEvent('acme', 'j1', { at: 'now', type: 'page', message: `${batch}`, dedupe: `${batch}` }));
        acknowledged.push(batch);
      }
    };
    const kill = async (): Promise<void> => {
      for (const after of [4, 15]) {
        while (acknowledged.length < after) await sleep(5);
        await server!.kill();
        const known = [...acknowledged];
        await server!.restart();
        const found = await untilDone(() => store.readItems(lane, known.flatMap(rowsOf).map((row) => `k${row}`)));
        expect(found.size).toBe(known.length * ROWS);
      }
    };
    await Promise.all([write(0), write(1), kill()]);

    expect((await store.readItems(lane, Array.from({ length: BATCHES * ROWS }, (_, row) => `k${row}`))).size).toBe(BATCHES * ROWS);
    expect(await store.jobTotals('acme', 'j1', 1)).toMatchObject({ done: BATCHES * ROWS, failed: BATCHES });
    expect(await store.countFailedRows('acme', 'j1')).toEqual([{ code: 'bad', rows: BATCHES }]);
    const events = (await store.listEvents('acme', 'j1', { limit: BATCHES + 1 })).items.map(({ message }) => Number(message));
    expect(events.toSorted((a, b) => a - b)).toEqual(Array.from({ length: BATCHES }, (_, batch) => batch));
    // Records, keys and guards outlived it too.
    expect(await store.createJob(aJob('j2'), { key: 'k', requestHash: 'h' })).toMatchObject({ created: false, job: { id: 'j1' } });
    expect(await store.acquireLane(lane, 'j1', 1)).toEqual({ granted: true, generation, holder: 'j1' });
    await store.commitRows({ lane, job: 'j1', tags: [], fence: 4n, items: [anItem('k0', {}, { output: 'late' })], failed: [], cleared: [] });
    expect((await store.readItems(lane, ['k0'])).get('k0')?.output).toEqual({ seen: 'k0' });
    // A server takes its time to start again, twice.
  }, 240_000);
});

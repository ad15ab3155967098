/** Rows committed through the Elasticsearch store against the client's own bulk helper, with the same documents on the same server. */
import { Client } from '@elastic/elasticsearch';
import { searchText } from '../src/domain/search-text.ts';
import { openElasticsearchStore } from '../src/store/elasticsearch.ts';
import { itemId, itemSource } from '../src/store/elasticsearch/rows.ts';
import { Names } from '../src/store/elasticsearch/schema.ts';
import type { ItemWrite, LaneRef } from '../src/store/store.ts';
import { startElasticsearch } from '../test/servers/elasticsearch/server.ts';
import { removeIndices } from '../test/servers/elasticsearch/remove-indices.ts';
import { median } from './median.ts';
import type { Measure, Setting } from './measure.ts';

/** What the helper has in flight unless told otherwise. */
const IN_FLIGHT = 5;
const ROWS_IN_COMMIT = 1_000;
/** As the pages of a job commit: two in flight, 500 cheap rows at a time. */
const PAGES = { inFlight: 2, rows: 500 };

export async function elasticsearchBulk({ rounds, scale, say }: Setting): Promise<Measure> {
  const rows = Math.round(100_000 * scale);
  const items = Array.from({ length: rows }, (_, row) => item(row));
  const server = process.env['SHEAF_TEST_ELASTICSEARCH_URL'] === undefined ? await startElasticsearch() : null;
  const url = server?.url ?? process.env['SHEAF_TEST_ELASTICSEARCH_URL']!;
  const runs: { helper: number; store: number; pages: number }[] = [];
  try {
    // Once unmeasured: a server that has just started is slow.
    await withHelper(url, 'bench-warm', items.slice(0, 20_000));
    for (let round = 1; round <= rounds; round++) {
      const sides = {
        helper: () => withHelper(url, `bench-helper-${round}`, items),
        store: () => withStore(url, `bench-store-${round}`, items, IN_FLIGHT, ROWS_IN_COMMIT),
        pages: () => withStore(url, `bench-pages-${round}`, items, PAGES.inFlight, PAGES.rows),
      };
      const run = { helper: 0, store: 0, pages: 0 };
      // Whoever goes first has the quieter server: they take turns.
      const order = (['helper', 'store', 'pages'] as const).toSorted((a, b) => (round % 2 ? 1 : -1) * a.localeCompare(b));
      for (const side of order) run[side] = rows / (await sides[side]());
      runs.push(run);
      say(`round ${round}: helper ${perSecond(run.helper)}, store ${perSecond(run.store)}, as pages commit ${perSecond(run.pages)}`);
    }
  } finally {
    await server?.stop();
  }
  const ratio = median(runs.map(({ store, helper }) => store / helper));
  const pages = median(runs.map(({ pages, helper }) => pages / helper));
  return {
    title: `${rows} rows into Elasticsearch`,
    figures: [
      { what: `through the store, against the client's bulk helper (${perSecond(median(runs.map(({ helper }) => helper)))})`, measured: `${ratio.toFixed(2)} ×`, budget: '≥ 0.9 ×', held: ratio >= 0.9 },
      { what: 'the same, as two pages of a job commit (500 rows each)', measured: `${pages.toFixed(2)} ×`, budget: 'none', held: true },
    ],
    details: { runs },
  };
}

const perSecond = (rows: number): string => `${Math.round(rows)} rows/s`;

const lane: LaneRef = { tenant: 'default', source: 'bench', lane: 'store' };
const commit = { lane, tags: [], fence: 1n };

function item(row: number): ItemWrite {
  const input = { id: String(row), name: `Name ${row}`, email: `user${row}@example.com`, amount: String((row * 7919) % 100_000 / 100), city: `City ${row % 500}`, note: 'larch meadow nook' };
  const output = { ...input, id: row, amount: Number(input.amount) };
  return {
    key: input.id, row, inputHash: 'i'.repeat(22), handlerHash: 'h'.repeat(22), state: 'done', output, error: null, job: 'bench', attempt: 1,
    input, text: searchText(input, output), tries: 1, tokens: null, cost: null, latencyMs: 0,
  };
}

/** Seconds. The indices are made before, and what was written is counted afterwards, outside of the time. */
async function withHelper(url: string, prefix: string, items: ItemWrite[]): Promise<number> {
  await (await openElasticsearchStore({ nodes: [url], prefix })).close();
  const client = new Client({ node: url });
  const index = new Names(prefix).write('items');
  const startedAt = performance.now();
  const { failed } = await client.helpers.bulk({
    datasource: items, concurrency: IN_FLIGHT, flushBytes: 5 * 2 ** 20,
    onDocument: (item) => [{ index: { _index: index, _id: itemId(lane, item.key), routing: lane.tenant } }, itemSource(commit, item, Date.now())],
  });
  const seconds = (performance.now() - startedAt) / 1000;
  await client.close();
  if (failed > 0) throw new Error(`${failed} documents were not taken`);
  await removeIndices(url, prefix);
  return seconds;
}

async function withStore(url: string, prefix: string, items: ItemWrite[], inFlight: number, rowsInCommit: number): Promise<number> {
  const store = await openElasticsearchStore({ nodes: [url], prefix });
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < items.length) {
      const from = next;
      next += rowsInCommit;
      await store.commitRows({ ...commit, job: 'bench', items: items.slice(from, from + rowsInCommit), failed: [], cleared: [] });
    }
  }));
  const seconds = (performance.now() - startedAt) / 1000;
  await store.close();
  await removeIndices(url, prefix);
  return seconds;
}

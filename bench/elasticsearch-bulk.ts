/** Rows committed through the Elasticsearch store against the client's own bulk helper, with the same documents on the same server. */
import { Client } from '@elastic/elasticsearch';
import { searchText } from '../src/domain/search-text.ts';
import { openElasticsearchStore } from '../src/store/elasticsearch.ts';
import { itemId, itemSource } from '../src/store/elasticsearch/rows.ts';
import { Names } from '../src/store/elasticsearch/schema.ts';
import type { Store } from '../src/store/store.ts';
import type { ItemWrite, LaneRef } from '../src/store/ports/rows.ts';
import { startElasticsearch } from '../test/servers/elasticsearch/server.ts';
import { removeIndices } from '../test/servers/elasticsearch/remove-indices.ts';
import { median } from './median.ts';
import type { Measure, Setting } from './measure.ts';

/** What the helper has in flight unless told otherwise. */
const IN_FLIGHT = 5;
const ROWS_IN_COMMIT = 1_000;
/** As the pages of a job commit: two in flight, each with five times 1,000 cheap rows at once. */
const PAGES = { inFlight: 10, rows: 1_000 };
/** The sides take turns so often that what else the machine does slows all of them alike. */
const TURN_ROWS = 10_000;

/** Writes rows; the time that it takes is measured. */
type Side = (items: ItemWrite[]) => Promise<void>;

export async function elasticsearchBulk({ rounds, scale, say }: Setting): Promise<Measure> {
  const rows = Math.max(TURN_ROWS, Math.round(100_000 * scale));
  const items = Array.from({ length: rows }, (_, row) => item(row));
  const server = process.env['SHEAF_TEST_ELASTICSEARCH_URL'] === undefined ? await startElasticsearch() : null;
  const url = server?.url ?? process.env['SHEAF_TEST_ELASTICSEARCH_URL']!;
  const runs: { helper: number; store: number; pages: number }[] = [];
  try {
    // The first is unmeasured: a server that has just started, and code that has just been loaded, are slow.
    for (let round = 0; round <= rounds; round++) {
      const run = await oneRound(url, `bench-${round}`, items);
      if (round === 0) continue;
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
      { what: 'the same, as two pages of a job commit (1,000 rows a request)', measured: `${pages.toFixed(2)} ×`, budget: 'none', held: true },
    ],
    details: { runs },
  };
}

/** Rows a second of each side, each into indices of its own. */
async function oneRound(url: string, prefix: string, items: ItemWrite[]): Promise<{ helper: number; store: number; pages: number }> {
  const prefixes = { helper: `${prefix}-helper`, store: `${prefix}-store`, pages: `${prefix}-pages` };
  const [made, store, pages] = await Promise.all(Object.values(prefixes).map((prefix) => openElasticsearchStore({ nodes: [url], prefix })));
  const client = new Client({ node: url });
  const sides: Record<keyof typeof prefixes, Side> = {
    helper: helperSide(client, new Names(prefixes.helper).write('items')),
    store: storeSide(store!, IN_FLIGHT, ROWS_IN_COMMIT), pages: storeSide(pages!, PAGES.inFlight, PAGES.rows),
  };
  const seconds = { helper: 0, store: 0, pages: 0 };
  for (let from = 0; from < items.length; from += TURN_ROWS) {
    const turn = items.slice(from, from + TURN_ROWS);
    const names = ['helper', 'store', 'pages'] as const;
    for (const name of (from / TURN_ROWS) % 2 === 0 ? names : names.toReversed()) {
      const startedAt = performance.now();
      await sides[name](turn);
      seconds[name] += (performance.now() - startedAt) / 1000;
    }
  }
  await Promise.all([made!.close(), store!.close(), pages!.close(), client.close()]);
  for (const prefix of Object.values(prefixes)) await removeIndices(url, prefix);
  return { helper: items.length / seconds.helper, store: items.length / seconds.store, pages: items.length / seconds.pages };
}

const perSecond = (rows: number): string => `${Math.round(rows)} rows/s`;

const lane: LaneRef = { tenant: 'default', source: 'bench', lane: 'store' };
const commit = { lane, tags: [], fence: 1n };

function item(row: number): ItemWrite {
  const input = { id: String(row), name: `Name ${row}`, email: `user${row}@example.com`, amount: String((row * 7919) % 100_000 / 100), city: `City ${row % 500}`, note: 'larch meadow nook' };
  const output = { ...input, id: row, amount: Number(input.amount) };
  return {
    key: input.id, row, inputHash: 'i'.repeat(22), handlerHash: 'h'.repeat(22), state: 'done', output: JSON.stringify(output), error: null, job: 'bench', attempt: 1,
    input: JSON.stringify(input), text: searchText(input, output), tries: 1, tokens: null, cost: null, latencyMs: 0,
  };
}

const helperSide = (client: Client, index: string): Side => async (items) => {
  const { failed } = await client.helpers.bulk({
    datasource: items, concurrency: IN_FLIGHT, flushBytes: 5 * 2 ** 20,
    onDocument: (item) => [{ index: { _index: index, _id: itemId(lane, item.key), routing: lane.tenant } }, itemSource(commit, item, Date.now())],
  });
  if (failed > 0) throw new Error(`${failed} documents were not taken`);
};

const storeSide = (store: Store, inFlight: number, rowsInCommit: number): Side => async (items) => {
  let next = 0;
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < items.length) {
      const from = next;
      next += rowsInCommit;
      await store.commitRows({ ...commit, job: 'bench', items: items.slice(from, from + rowsInCommit), failed: [], cleared: [] });
    }
  }));
};

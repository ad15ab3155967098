/**
 * The bare script that Sheaf on Elasticsearch is measured against: one process that streams a CSV through the client's own
 * bulk helper into the same index, with the same parser, ids, documents and searchable text; no Temporal, no pages, no
 * hashes of rows, no results, no S3. Prints its seconds, from the first byte on. Usage: bare-elasticsearch.ts FILE URL PREFIX
 */
import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, errors } from '@elastic/elasticsearch';
import { parse } from 'csv-parse';
import { searchText } from '../src/domain/search-text.ts';
import { itemId, itemSource } from '../src/store/elasticsearch/rows.ts';
import { Names } from '../src/store/elasticsearch/schema.ts';
import type { ItemWrite, LaneRef } from '../src/store/ports/rows.ts';
import { bareRow } from './bare-row.ts';

const lane: LaneRef = { tenant: 'default', source: 'bench', lane: 'store' };
const commit = { lane, tags: [], fence: 1n };

const [file, url, prefix] = process.argv.slice(2);
if (!file || !url || !prefix) throw new Error('Usage: bare-elasticsearch.ts FILE URL PREFIX');

async function* items(path: string): AsyncGenerator<ItemWrite> {
  let columns: string[] | undefined;
  let row = 0;
  for await (const cells of createReadStream(path, { highWaterMark: 1 << 20 }).pipe(parse({ columns: false })) as AsyncIterable<string[]>) {
    row++;
    if (!columns) {
      columns = cells;
      continue;
    }
    const { input, output } = bareRow(columns, cells);
    yield {
      key: cells[0]!, row, inputHash: 'i'.repeat(22), handlerHash: 'h'.repeat(22), state: 'done', output: JSON.stringify(output), error: null, job: 'j'.repeat(26), attempt: 1,
      input: JSON.stringify(input), text: searchText(input, output), tries: 1, tokens: null, cost: null, latencyMs: 0,
    };
  }
}

const client = new Client({ node: url });
// The helper sends documents again that the server had no room for, but not whole requests.
const bulk = client.bulk.bind(client);
client.bulk = (async (...asked: Parameters<typeof bulk>) => {
  for (;;) {
    try {
      return await bulk(...asked);
    } catch (error) {
      if (!(error instanceof errors.ResponseError) || error.statusCode !== 429) throw error;
      await sleep(100);
    }
  }
}) as typeof client.bulk;
const index = new Names(prefix).write('items');
const startedAt = performance.now();
const { failed } = await client.helpers.bulk({
  datasource: items(file),
  onDocument: (item) => [{ index: { _index: index, _id: itemId(lane, item.key), routing: lane.tenant } }, itemSource(commit, item, Date.now())],
});
if (failed > 0) throw new Error(`${failed} documents were not taken`);
console.log((performance.now() - startedAt) / 1000);
await client.close();

/** A process that uses a store while others do: `node store-child.ts ADAPTER PLACE ROLE NAME`. It says on its output what was acknowledged. */
import { storeAdapters } from './store-adapters.ts';
import { aFailedRow, aJob, aLane, anItem, aPage, RACES, SUB_BATCH } from './store-samples.ts';

const [adapter = '', place = '', role = '', name = ''] = process.argv.slice(2);

/** Writes sub-batches, pages and events until it is killed; a line with the batch's number after each. */
async function write(): Promise<void> {
  const store = await storeAdapters[adapter as keyof typeof storeAdapters].open(place);
  for (let batch = 0; ; batch++) {
    const rows = Array.from({ length: SUB_BATCH }, (_, n) => batch * SUB_BATCH + n);
    await store.commitRows({
      lane: aLane({ lane: name }), job: name, tags: [], fence: 1n, items: rows.map((row) => anItem(`k${row}`, { word: `word${row}` }, { row })),
      failed: [aFailedRow(batch, 'bad')], cleared: [],
    });
    await store.writePage('acme', name, aPage(batch, { counts: { done: SUB_BATCH, unchanged: 0, failed: 1, skipped: 0 } }));
    await store.appendEvent('acme', name, { at: 'now', type: 'page', message: `${batch}`, dedupe: `${batch}` });
    process.stdout.write(`${batch}\n`);
  }
}

/** Claims the same keys, lanes and items as another process of this role; one line of JSON with what it was told. */
async function race(): Promise<void> {
  const store = await storeAdapters[adapter as keyof typeof storeAdapters].open(place);
  process.stdout.write('ready\n');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  const created: boolean[] = [];
  const granted: boolean[] = [];
  for (let n = 0; n < RACES; n++) {
    const answer = await store.createJob(aJob(`${name}${n}`), { key: `key ${n}`, requestHash: 'h' });
    created.push(answer.created);
    granted.push((await store.acquireLane(aLane({ lane: `lane ${n}` }), name, 1)).granted);
    // The two processes write odd and even fences, up or down.
    const fence = BigInt(name === 'a' ? 2 * n : 2 * (RACES - n) - 1);
    await store.commitRows({ lane: aLane(), job: name, tags: [], fence, items: [anItem('contested', { n }, { output: String(fence) })], failed: [], cleared: [] });
  }
  await store.close();
  process.stdout.write(`${JSON.stringify({ created, granted })}\n`);
  process.exit(0);
}

if (role === 'write') await write();
if (role === 'race') await race();

/** A source that is synced again with nothing changed: the same file, and the same rows in another. */
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { median, seconds } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

export async function resync({ folder, rounds, scale, say }: Setting): Promise<Measure> {
  const rows = Math.round(100_000 * scale);
  const sheet = await makeSheet(folder, rows);
  const runs: { first: number; again: number; read: number; handled: number }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const stack = await benchStack(folder, `stack-${round}`, folder);
    const synced = path.join(folder, 'synced.csv');
    try {
      await stack.run({ source: { path: await makeSheet(folder, 1_000) } }); // the processes are warm for all
      await copyFile(sheet, synced);
      await stack.client.call('PUT', '/sources/bench', { body: { source: { path: synced }, keyColumns: ['id'] } });
      const first = await stack.run({}, '/sources/bench/sync');
      const again = await stack.run({}, '/sources/bench/sync');
      // The same rows in another file: it has to be read to know.
      await copyFile(sheet, synced);
      const read = await stack.run({}, '/sources/bench/sync');
      runs.push({ first: first.seconds, again: again.seconds, read: read.seconds, handled: 2 * rows - again.job.progress.unchanged - read.job.progress.unchanged });
      say(`round ${round}: first ${seconds(first.seconds)}, again ${seconds(again.seconds)}, written anew ${seconds(read.seconds)}`);
    } finally {
      await stack.stop();
    }
  }
  const ratio = median(runs.map(({ first, again }) => again / first));
  const handled = Math.max(...runs.map((run) => run.handled));
  return {
    title: `${rows.toLocaleString('en')} rows of a source synced again, unchanged (first ${seconds(median(runs.map(({ first }) => first)))}, again ${seconds(median(runs.map(({ again }) => again)))}, `
      + `the same rows written anew ${seconds(median(runs.map(({ read }) => read)))})`,
    figures: [
      { what: 'time, again / first', measured: ratio.toFixed(2), budget: '≤ 0.25', held: ratio <= 0.25 },
      { what: 'rows handled again', measured: String(handled), budget: '0', held: handled === 0 },
    ],
    details: { rows, runs },
  };
}

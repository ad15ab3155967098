/** Row 3 of the budgets: the same sheet again, when nothing has changed. */
import { median, seconds } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

export async function unchangedRows({ folder, rounds, scale, say }: Setting): Promise<Measure> {
  const rows = Math.round(100_000 * scale);
  const sheet = await makeSheet(folder, rows);
  const runs: { first: number; again: number; handled: number }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const stack = await benchStack(folder, `stack-${round}`, folder);
    try {
      await stack.run({ source: { path: await makeSheet(folder, 1_000) } }); // the processes are warm for both
      const first = await stack.run({ source: { path: sheet }, keyColumns: ['id'] });
      const again = await stack.run({ source: { path: sheet }, keyColumns: ['id'] });
      runs.push({ first: first.seconds, again: again.seconds, handled: rows - again.job.progress.unchanged });
      say(`round ${round}: first ${seconds(first.seconds)}, again ${seconds(again.seconds)}`);
    } finally {
      await stack.stop();
    }
  }
  const ratio = median(runs.map(({ first, again }) => again / first));
  const handled = Math.max(...runs.map((run) => run.handled));
  return {
    title: `${rows.toLocaleString('en')} rows again, unchanged (first ${seconds(median(runs.map(({ first }) => first)))}, again ${seconds(median(runs.map(({ again }) => again)))})`,
    figures: [
      { what: 'time, again / first', measured: ratio.toFixed(2), budget: '≤ 0.25', held: ratio <= 0.25 },
      { what: 'rows handled again', measured: String(handled), budget: '0', held: handled === 0 },
    ],
    details: { rows, runs },
  };
}

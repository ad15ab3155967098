/** The 1 GB CSV: what the worker's memory comes to. */
import { stat } from 'node:fs/promises';
import { median, megabytes, seconds } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

const NOTE_CHARS = 940;

export async function largeFile({ folder, scale, say }: Setting): Promise<Measure> {
  const rows = Math.round(1_000_000 * scale);
  const sheet = await makeSheet(folder, rows, NOTE_CHARS);
  const { size } = await stat(sheet);
  const peaks: number[] = [];
  const stack = await benchStack(folder, 'stack', folder);
  let time = 0;
  try {
    time = (await stack.run({ source: { path: sheet }, keyColumns: ['id'] })).seconds;
    peaks.push(await stack.workerPeak());
    say(`${megabytes(size)} in ${seconds(time)}, worker at most ${megabytes(peaks[0]!)}`);
  } finally {
    await stack.stop();
  }
  return {
    title: `A CSV of ${megabytes(size)}, ${rows.toLocaleString('en')} rows, in ${seconds(time)}`,
    figures: [{ what: "worker's peak memory", measured: megabytes(median(peaks)), budget: '≤ 300 MB', held: median(peaks) <= 300e6 }],
    details: { rows, size, seconds: time, peaks },
  };
}

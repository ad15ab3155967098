/**
 * Sheaf against its budgets, as ratios inside one run: `npm run bench [-- --only NAME …] [--rounds N] [--scale F]`.
 * Prints tables; writes bench/results/<measure>.json. `--scale 0.1` measures with a tenth of the rows, to try it out.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { documentText } from './document-text.ts';
import { documentStatus, documentUpload } from './document-upload.ts';
import { elasticsearchBulk } from './elasticsearch-bulk.ts';
import { fanOut } from './fan-out.ts';
import { latency } from './latency.ts';
import { largeFile } from './large-file.ts';
import { limitUse } from './limit-use.ts';
import { machine } from './machine.ts';
import type { Measure, Setting } from './measure.ts';
import { millionRows } from './million-rows.ts';
import { modelRows } from './model-rows.ts';
import { queue } from './queue.ts';
import { queuedJobs } from './queued-jobs.ts';
import { resync } from './resync.ts';
import { scrape } from './scrape.ts';
import { stores } from './stores.ts';
import { smallDocuments } from './small-documents.ts';
import { unchangedRows } from './unchanged-rows.ts';

const MEASURES: Record<string, (setting: Setting) => Promise<Measure>> = {
  'million-rows': millionRows,
  'unchanged-rows': unchangedRows,
  resync,
  'large-file': largeFile,
  latency,
  'document-upload': documentUpload,
  'document-status': documentStatus,
  'document-text': documentText,
  'small-documents': smallDocuments,
  queue,
  'queued-jobs': queuedJobs,
  'fan-out': fanOut,
  'elasticsearch-bulk': elasticsearchBulk,
  stores,
  'limit-use': limitUse,
  scrape,
  'model-rows': modelRows,
};

const { values } = parseArgs({ options: {
  only: { type: 'string', multiple: true }, rounds: { type: 'string', default: '3' }, scale: { type: 'string', default: '1' },
} });
const results = fileURLToPath(new URL('results/', import.meta.url));
await mkdir(results, { recursive: true });
let broken = 0;
for (const [name, measure] of Object.entries(MEASURES)) {
  if (values.only && !values.only.includes(name)) continue;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-bench-'));
  try {
    const before = machine();
    const result = await measure({ folder, rounds: Number(values.rounds), scale: Number(values.scale), say: (line) => console.error(`  ${line}`) });
    const table = new Table({ head: ['', 'measured', 'budget', ''], style: { head: [] } });
    for (const { what, measured, budget, held } of result.figures) table.push([what, measured, budget, held ? 'held' : 'BROKEN']);
    console.log(`\n${result.title}`);
    if (result.sideBySide) {
      const beside = new Table({ head: ['', ...result.sideBySide.head], style: { head: [] } });
      beside.push(...result.sideBySide.lines);
      console.log(beside.toString());
    }
    console.log(table.toString());
    broken += result.figures.filter(({ held }) => !held).length;
    await writeFile(path.join(results, `${name}.json`), `${JSON.stringify({ machine: before, scale: Number(values.scale), ...result }, null, 2)}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
process.exitCode = broken > 0 ? 1 : 0;

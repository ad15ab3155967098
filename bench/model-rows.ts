/** Rows that a model is asked about, 300 ms each and 50 at once: beside a plain loop with the same adapter, under a budget, and three sheets at once. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { modelServer } from '../test/servers/model/server.ts';
import { median } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

const ROWS = 5_000;
const ANSWER_MS = 300;
const CONCURRENCY = 50;
const SHEETS = 3;
const MODEL = 'openai:gpt-5-mini';
const ROWS_A_MINUTE = 1_000;

export async function modelRows({ folder, rounds, scale, say }: Setting): Promise<Measure> {
  const rows = Math.round(ROWS * scale);
  const sheet = await makeSheet(folder, rows);
  const server = await modelServer();
  Object.assign(server, { latencyMs: ANSWER_MS, says: JSON.stringify({ reason: 'x', category: 'a', confidence: 1 }) });
  const stack = await benchStack(folder, 'stack', folder, {
    OPENAI_API_KEY: 'bench', OPENAI_BASE_URL: server.url, SHEAF_MODEL_PRICES: JSON.stringify({ [MODEL]: { input: 1, output: 1 } }),
  });
  let jobs = 0;
  /** Other instructions each time, so that nothing is answered from what is kept. */
  const job = (more: object = {}): object => ({
    source: { path: sheet }, sourceId: `sheet-${++jobs}`, keyColumns: ['id'], concurrency: CONCURRENCY,
    handler: { name: 'categorize', options: { model: MODEL, categories: 'a, b', instructions: `Time ${jobs}.` } }, ...more,
  });
  const bare: number[] = [];
  const plain: number[] = [];
  const budgeted: number[] = [];
  let together: number;
  try {
    for (let round = 0; round < rounds; round++) {
      const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('bare-model.ts', import.meta.url)), sheet, server.url, MODEL, String(CONCURRENCY)]);
      bare.push(Number(stdout));
      plain.push((await stack.run(job())).seconds);
      budgeted.push((await stack.run(job({ maxCost: 1_000 }))).seconds);
      server.asked.length = 0;
      say(`plain loop ${bare.at(-1)!.toFixed(1)} s, Sheaf ${plain.at(-1)!.toFixed(1)} s, under a budget ${budgeted.at(-1)!.toFixed(1)} s`);
    }
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: SHEETS }, () => stack.run(job())));
    together = (performance.now() - startedAt) / 1000;
    say(`${SHEETS} sheets at once ${together.toFixed(1)} s`);
  } finally {
    await stack.stop();
    await server.close();
  }
  const share = median(bare.map((seconds, round) => seconds / plain[round]!));
  const budgetShare = median(bare.map((seconds, round) => seconds / budgeted[round]!));
  const pace = (rows / together) * 60;
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  return {
    title: `${rows} rows of a model that takes ${ANSWER_MS} ms, ${CONCURRENCY} at once`,
    figures: [
      { what: 'pace of a plain loop with the same adapter', measured: percent(share), budget: '≥ 98 %', held: share >= 0.98 },
      { what: 'the same under a budget', measured: percent(budgetShare), budget: '≥ 95 %', held: budgetShare >= 0.95 },
      { what: `rows a minute of each of ${SHEETS} sheets at once`, measured: Math.round(pace).toLocaleString('en'), budget: `≥ ${ROWS_A_MINUTE.toLocaleString('en')}`, held: pace >= ROWS_A_MINUTE },
    ],
    details: { bare, plain, budgeted, together },
  };
}

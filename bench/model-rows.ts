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

interface Run {
  seconds: number;
  /** From the first call to the last answer. */
  calling: number;
}

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
  const bare: Run[] = [];
  const plain: Run[] = [];
  const budgeted: Run[] = [];
  const asked = async (run: () => Promise<number>): Promise<Run> => {
    server.asked.length = 0;
    const seconds = await run();
    return { seconds, calling: (server.asked.at(-1)!.at - server.asked[0]!.at + ANSWER_MS) / 1000 };
  };
  let together: number;
  try {
    for (let round = 0; round < rounds; round++) {
      bare.push(await asked(async () => Number((await promisify(execFile)(process.execPath, [fileURLToPath(new URL('bare-model.ts', import.meta.url)), sheet, server.url, MODEL, String(CONCURRENCY)])).stdout)));
      plain.push(await asked(async () => (await stack.run(job())).seconds));
      budgeted.push(await asked(async () => (await stack.run(job({ maxCost: 1_000 }))).seconds));
      const shown = ({ seconds, calling }: Run): string => `${calling.toFixed(1)} s of ${seconds.toFixed(1)}`;
      say(`calling: plain loop ${shown(bare.at(-1)!)}, Sheaf ${shown(plain.at(-1)!)}, under a budget ${shown(budgeted.at(-1)!)}`);
    }
    server.asked.length = 0;
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: SHEETS }, () => stack.run(job())));
    together = (performance.now() - startedAt) / 1000;
    say(`${SHEETS} sheets at once ${together.toFixed(1)} s`);
  } finally {
    await stack.stop();
    await server.close();
  }
  const shareOf = (runs: Run[], of: keyof Run): number => median(bare.map((run, round) => run[of] / runs[round]![of]));
  const pace = (rows / together) * 60;
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  return {
    title: `${rows} rows of a model that takes ${ANSWER_MS} ms, ${CONCURRENCY} at once`,
    figures: [
      { what: 'pace of a plain loop with the same adapter, from the first call to the last answer', measured: percent(shareOf(plain, 'calling')), budget: '≥ 98 %', held: shareOf(plain, 'calling') >= 0.98 },
      { what: 'the same, from the request to the end that the API shows', measured: percent(shareOf(plain, 'seconds')), budget: '≥ 93 %', held: shareOf(plain, 'seconds') >= 0.93 },
      { what: 'under a budget, from the first call to the last answer', measured: percent(shareOf(budgeted, 'calling')), budget: '≥ 95 %', held: shareOf(budgeted, 'calling') >= 0.95 },
      { what: `rows a minute of each of ${SHEETS} sheets at once`, measured: Math.round(pace).toLocaleString('en'), budget: `≥ ${ROWS_A_MINUTE.toLocaleString('en')}`, held: pace >= ROWS_A_MINUTE },
    ],
    details: { bare, plain, budgeted, together },
  };
}

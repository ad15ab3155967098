/**
 * Kills the worker, the API and the Temporal server again and again, each at a random moment of a job, and looks
 * whether anything was lost or done twice: `npm run soak [-- --rounds N] [-- --rows N] [-- --seed N]`. Rounds are of
 * each victim. Prints a table, writes bench/results/soak.json; exit code 1 when anything did not hold.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { killRound, type Kill, type KillRound } from '../test/e2e/kill-round.ts';
import { startRowCounter, writeCountedHandler } from '../test/servers/counter.ts';
import { randomNumbers } from '../test/servers/random.ts';
import { startTestStack } from '../test/servers/stack.ts';
import { machine } from './machine.ts';
import { median } from './median.ts';

const ANSWER_MS = 20;
/** Longer than a page's heartbeat timeout, so that some outages of Temporal outlive it. */
const LONGEST_OUTAGE_MS = 25_000;

const { values } = parseArgs({ options: {
  rounds: { type: 'string', default: '20' }, rows: { type: 'string', default: '20000' }, seed: { type: 'string', default: String(Date.now() % 1e9) },
} });
const rows = Number(values.rows);
const random = randomNumbers(Number(values.seed));
const before = machine();
console.error(`Moments come from --seed ${values.seed}`);

const counter = await startRowCounter(ANSWER_MS);
const rounds: KillRound[] = [];
let stack = await startTestStack();
await writeCountedHandler(path.join(stack.folder, 'counted.mjs'));
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const victim of ['worker', 'api', 'temporal'] as const) {
      const kill: Kill = {
        victim, afterRows: Math.floor(rows * (0.02 + 0.96 * random())),
        outageMs: victim === 'temporal' && round % 2 === 1 ? Math.floor(LONGEST_OUTAGE_MS * random()) : 0,
      };
      try {
        rounds.push(await killRound(stack, counter, rows, kill));
      } catch (error) {
        console.error(error, await stack.logs());
        rounds.push(broken(kill, error));
        await stack.stop();
        stack = await startTestStack();
        await writeCountedHandler(path.join(stack.folder, 'counted.mjs'));
      }
      console.error(`${rounds.length}: ${JSON.stringify(rounds.at(-1))}`);
    }
  }
} finally {
  await Promise.all([stack.stop(), counter.close()]);
}

const table = new Table({
  head: ['round', 'victim', 'moment', 'away s', 'recovery s', 'rows twice', 'allowed', 'outcome', 'holds'], style: { head: [], border: [] },
});
for (const [index, round] of rounds.entries()) {
  table.push([
    index + 1, round.victim, `${Math.round((round.afterRows / rows) * 100)} %`, (round.outageMs / 1000).toFixed(1), round.recoverySeconds.toFixed(1),
    round.twice, round.allowed, round.state, round.violations.length === 0 ? 'all' : round.violations.join('; '),
  ]);
}
console.log(table.toString());
const violated = rounds.filter(({ violations }) => violations.length > 0).length;
const medians = (['worker', 'api', 'temporal'] as const).map((victim) =>
  `${victim} ${median(rounds.filter((round) => round.victim === victim).map(({ recoverySeconds }) => recoverySeconds)).toFixed(1)} s`);
console.log(`${rounds.length} kills in jobs of ${rows} rows: ${violated === 0 ? 'everything held' : `${violated} violated something`}. Median recovery: ${medians.join(', ')}.`);

const results = fileURLToPath(new URL('results/', import.meta.url));
await mkdir(results, { recursive: true });
await writeFile(path.join(results, 'soak.json'), `${JSON.stringify({ machine: before, seed: Number(values.seed), rows, violated, rounds }, null, 2)}\n`);
process.exitCode = violated > 0 ? 1 : 0;

function broken(kill: Kill, error: unknown): KillRound {
  return {
    ...kill, job: '', state: 'unknown', recoverySeconds: NaN, totalSeconds: NaN, twice: NaN, allowed: NaN, oldestMs: NaN,
    violations: [error instanceof Error ? error.message : String(error)],
  };
}

/**
 * Five hundred small jobs of ten tenants through the queue of two workers, paused, resumed, cancelled and given other
 * priorities at random while processes are killed: `npm run soak:jobs [-- --jobs N] [-- --kills N] [-- --seed N]`. Writes
 * bench/results/soak-jobs.json; exit code 1 when anything did not hold.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SOAK_LIMITS, soakJobs } from '../test/e2e/job-soak.ts';
import { startRowCounter, writeCountedHandler } from '../test/servers/counter.ts';
import { startTestStack } from '../test/servers/stack.ts';
import { machine } from './machine.ts';

const VICTIMS = ['worker', 'api', 'worker-2', 'temporal'] as const;

const { values } = parseArgs({ options: {
  jobs: { type: 'string', default: '500' }, kills: { type: 'string', default: '12' }, seed: { type: 'string', default: String(Date.now() % 1e9) },
} });
const before = machine();
console.error(`What happens comes from --seed ${values.seed}`);
const [stack, counter] = await Promise.all([startTestStack({ workers: 2, env: SOAK_LIMITS }), startRowCounter(5)]);
await writeCountedHandler(path.join(stack.folder, 'counted.mjs'));
try {
  const report = await soakJobs(stack, counter, {
    jobs: Number(values.jobs), tenants: 10, rows: 20, seed: Number(values.seed),
    victims: Array.from({ length: Number(values.kills) }, (_, kill) => VICTIMS[kill % VICTIMS.length]!),
  });
  const { seconds, states, acts, kills, most, violations } = report;
  console.log(`${values.jobs} jobs in ${seconds.toFixed(0)} s: ${JSON.stringify(states)}; ${kills.length} kills, ${JSON.stringify(acts)}; at most ${most.all} at once, ${most.tenant} of a tenant.`);
  console.log(violations.length === 0 ? 'Everything held.' : violations.join('\n'));
  if (violations.length > 0) console.error(await stack.logs());
  const results = fileURLToPath(new URL('results/', import.meta.url));
  await mkdir(results, { recursive: true });
  await writeFile(path.join(results, 'soak-jobs.json'), `${JSON.stringify({ machine: before, seed: Number(values.seed), ...report }, null, 2)}\n`);
  process.exitCode = violations.length > 0 ? 1 : 0;
} finally {
  await Promise.all([stack.stop(), counter.close()]);
}

/** How much of a limit two workers use while there is work, as the server that is called counts it, and whether they ever go over. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inWindows, mostInWindow, startMeteredApi, writeLimitedHandler } from '../test/servers/metered-api.ts';
import type { JobAnswer } from '../src/contracts/job-api.ts';
import { median } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

/** The default limits in a window of 20 s: 300 calls of all users, 60 of one. */
const WINDOW_MS = 20_000;
const PROJECT = 300;
const PER_USER = 60;
const USERS = 6;
const LIMIT = { per: WINDOW_MS / 1000, perUser: PER_USER, perProject: { capacity: PROJECT, refill: PROJECT / (WINDOW_MS / 1000) } };

export async function limitUse({ folder, rounds, scale, say }: Setting): Promise<Measure> {
  const windows = Math.max(2, Math.round(3 * scale));
  const api = await startMeteredApi();
  const handler = path.join(folder, 'limited.mjs');
  await writeLimitedHandler(handler, ['bench']);
  const sheet = await makeSheet(folder, 2_000);
  const stack = await benchStack(folder, 'stack', folder, {
    SHEAF_LIMITS: JSON.stringify({ bench: LIMIT }), SHEAF_MAX_RUNNING_JOBS: String(USERS), SHEAF_MAX_RUNNING_JOBS_PER_TENANT: String(USERS),
  });
  let second: ChildProcess | undefined;
  const runs: { use: number; most: number; mostOfUser: number; least: number }[] = [];
  try {
    second = fork(fileURLToPath(new URL('../src/worker.ts', import.meta.url)), { env: { ...process.env, SHEAF_TEMPORAL_ADDRESS: stack.temporal }, stdio: 'ignore' });
    await once(second, 'message');
    for (let round = 0; round < rounds; round++) {
      api.clear();
      const users = Array.from({ length: USERS }, (_, index) => `user-${round}-${index}`);
      const jobs = await Promise.all(users.map((user) => stack.client.call<JobAnswer>('POST', '/jobs', {
        body: { source: { path: sheet }, sourceId: user, handler: { name: handler, options: { url: api.url, user } }, keyColumns: ['id'] },
        headers: { 'x-sheaf-owner': user },
      })));
      while (api.arrivals.length === 0 || performance.now() - api.arrivals[0]!.at < WINDOW_MS * windows) await new Promise((resolve) => setTimeout(resolve, 100));
      const perUser = users.map((user) => api.arrivals.filter((one) => one.user === user));
      runs.push({
        use: inWindows(api.arrivals, WINDOW_MS, windows) / (PROJECT * windows), most: mostInWindow(api.arrivals, WINDOW_MS),
        mostOfUser: Math.max(...perUser.map((mine) => mostInWindow(mine, WINDOW_MS))),
        least: Math.min(...perUser.map(({ length }) => length)) / Math.max(...perUser.map(({ length }) => length)),
      });
      say(`${Math.round(runs.at(-1)!.use * 1000) / 10} % used, ${runs.at(-1)!.most} in one window`);
      for (const { id } of jobs) await stack.client.call('POST', `/jobs/${id}/cancel`);
      if (round < rounds - 1) await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
    }
  } finally {
    second?.kill();
    delete process.env['SHEAF_LIMITS'];
    await stack.stop();
    await api.close();
  }
  const use = median(runs.map((run) => run.use));
  const most = Math.max(...runs.map((run) => run.most));
  const mostOfUser = Math.max(...runs.map((run) => run.mostOfUser));
  const least = median(runs.map((run) => run.least));
  return {
    title: `A limit of ${PROJECT} calls in ${WINDOW_MS / 1000} s, ${PER_USER} a user, under ${USERS} users and two workers`,
    figures: [
      { what: 'used of the limit', measured: `${(use * 100).toFixed(1)} %`, budget: '≥ 95 %', held: use >= 0.95 },
      { what: 'most calls in a window', measured: String(most), budget: `≤ ${PROJECT}`, held: most <= PROJECT },
      { what: "most calls of a user's in a window", measured: String(mostOfUser), budget: `≤ ${PER_USER}`, held: mostOfUser <= PER_USER },
      { what: 'calls of the user with fewest / with most', measured: least.toFixed(2), budget: '≥ 0.80', held: least >= 0.8 },
    ],
    details: { runs },
  };
}

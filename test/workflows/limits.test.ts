/** Jobs under named limits, and the broker of one, on the real server. */
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LeaseRequest } from '../../src/contracts/limits.ts';
import type { JobRequest } from '../../src/contracts/job.ts';
import { readLimitRules } from '../../src/limits/rules.ts';
import { knownLimits, lease } from '../../src/temporal/limit-brokers.ts';
import { limitWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { mostInWindow, startMeteredApi, writeLimitedHandler, type MeteredApi } from '../servers/metered-api.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

const LIMITS = JSON.stringify({
  narrow: { per: 8, perUser: 4, perProject: { capacity: 100, refill: 20 } },
  other: { per: 8, perUser: 1000, perProject: false },
  refusing: { perUser: false, perProject: false },
});

let rig: Rig;
let api: MeteredApi;
beforeAll(async () => {
  // One page at a time: whoever holds the slot holds everybody up.
  [rig, api] = await Promise.all([openRig({ namedLimits: LIMITS, rowSlots: 1 }), startMeteredApi()]);
  await Promise.all(['narrow', 'refusing'].map((limit) => writeLimitedHandler(path.join(rig.folder, `${limit}.mjs`), [limit])));
  await writeLimitedHandler(path.join(rig.folder, 'both.mjs'), ['narrow', 'other']);
  await rig.startWorkers();
});
beforeEach(() => api.clear());
afterEach(() => rig.replayAll());
afterAll(async () => {
  await rig?.close();
  await api?.close();
});

const calling = (module: string, user = 'tester'): Partial<JobRequest> => ({
  handler: 'module', keyColumns: ['name'], options: { file: path.join(rig.folder, `${module}.mjs`), options: { url: api.url, user } },
});

describe('a job whose limit is used up', () => {
  test('waits, cause rate_limit, with the time until when, and holds no slot: another job runs meanwhile', async () => {
    const job = await rig.create('narrow', rowsOf(6), { request: calling('narrow') });
    const waiting = await rig.when(job.id, ({ state }) => state === 'waiting');
    expect(waiting).toMatchObject({ cause: 'rate_limit', reason: 'Limit narrow has no call left for now.' });
    expect(Date.parse(waiting.until!)).toBeGreaterThan(Date.parse(waiting.updatedAt));
    expect(await rig.totals(job.id)).toMatchObject({ done: 4 });

    const other = await rig.ended((await rig.create('free', rowsOf(20))).id);
    expect(other.state).toBe('completed');
    expect(await rig.job(job.id)).toMatchObject({ state: 'waiting', cause: 'rate_limit' });

    const limit = await eventually(async () =>
      (await knownLimits(rig.env.client, readLimitRules(LIMITS))).find(({ name, status }) => name === 'narrow' && status.users.some(({ awayMs }) => awayMs > 0)));
    expect(limit).toMatchObject({ configured: true, status: { project: { used: 4, most: 160 }, waiting: 0, workers: 1 } });
    expect(limit.status.users).toEqual([{ user: 'default/tester', used: 4, most: 4, left: 0, waiting: 0, awayMs: expect.any(Number) }]);

    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', cause: null, until: null });
    expect(api.arrivals.map(({ key }) => key)).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
    expect(mostInWindow(api.arrivals, 8_000)).toBe(4);
    expect(await rig.events(job.id)).toEqual(expect.arrayContaining(['running', 'waiting', 'completed']));
  });

  test('can be paused, resumed and cancelled while it waits', async () => {
    const job = await rig.create('narrow-cancel', rowsOf(10), { owner: 'pat', request: calling('narrow', 'pat') });
    await rig.when(job.id, ({ state }) => state === 'waiting');
    expect((await rig.jobs.control(TENANT, job.id, 'pause')).job.state).toBe('paused');
    expect((await rig.jobs.control(TENANT, job.id, 'resume')).applied).toBe(true);
    await rig.when(job.id, ({ state }) => state === 'waiting');
    await rig.jobs.control(TENANT, job.id, 'cancel');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'cancelled' });
    expect(await rig.totals(job.id)).toMatchObject({ done: 4 });
  });

  test('takes all limits of a row or none', async () => {
    const job = await rig.create('both', rowsOf(6), { owner: 'kim', request: calling('both', 'kim') });
    await rig.when(job.id, ({ state }) => state === 'waiting');
    const used = await eventually(async () => {
      const known = await knownLimits(rig.env.client, readLimitRules(LIMITS));
      const byName = known.map(({ name, status }) => [name, status.users.find(({ user }) => user === 'default/kim')?.used]);
      const counts = Object.fromEntries(byName) as Record<string, number>;
      return counts['narrow'] === 4 && counts['other'] === 4 && counts;
    });
    expect(used).toMatchObject({ narrow: 4, other: 4 });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  });
});

describe('a server that says Retry-After', () => {
  test('makes the job wait so long; nothing is lost, and the refused row is done in the end', async () => {
    let refusals = 1;
    api.refuse = ({ key }) => (key === 'a3' && refusals-- > 0 ? 4 : null);
    const job = await rig.create('refused', rowsOf(5), { request: { ...calling('refusing'), concurrency: 1 } });
    const waiting = await rig.when(job.id, ({ state }) => state === 'waiting');
    expect(waiting).toMatchObject({ cause: 'rate_limit', reason: 'The server that is called asked to be left alone for a while.' });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(job.id)).toMatchObject({ done: 5, failed: 0 });
    const [refused, next] = api.arrivals.slice(2);
    expect(next!.at - refused!.at).toBeGreaterThanOrEqual(4_000);
  });
});

describe('a broker', () => {
  test('refuses what is no question of a worker, and goes on', async () => {
    const job = await rig.create('sound', rowsOf(2), { owner: 'lou', request: calling('narrow', 'lou') });
    await rig.ended(job.id);
    const handle = rig.env.client.workflow.getHandle(limitWorkflowId('narrow'));
    await expect(handle.executeUpdate('lease', { args: ['hello'] })).rejects.toMatchObject({ cause: { type: 'invalid_request' } });
    await rig.ended((await rig.create('sound', rowsOf(4), { owner: 'lou', request: calling('narrow', 'lou') })).id);
    expect(api.arrivals).toHaveLength(4);
  });

  test('continues as new with all that it knows, keeps its histories short, and replays', async () => {
    const rule = readLimitRules('{"many": {"perUser": false, "perProject": {"capacity": 1000, "refill": 10}}}').of('many');
    let seq = 0;
    const ask = (wants: number, more: Partial<LeaseRequest> = {}) => lease(rig.env.client, 'many', {
      worker: 'one', seq: ++seq, rule, configuredAt: 1, wants: { 'default/ann': wants }, tokensPerCall: 0, used: [], returned: [],
      running: 0, places: 0, waiting: wants, backOffMs: 0, away: {}, ...more,
    });
    const handle = rig.env.client.workflow.getHandle(limitWorkflowId('many'));
    let calls = 0;
    await ask(0);
    const first = (await handle.describe()).runId;
    while ((await handle.describe()).runId === first) {
      const { grants } = await ask(1);
      calls += grants.reduce((sum, grant) => sum + grant.calls, 0);
      await ask(0, { used: grants.map((grant) => ({ grant: grant.grant, agoMs: 0, calls: grant.calls, tokens: 0 })) });
    }
    expect(calls).toBeGreaterThan(50);
    expect((await ask(2_000)).grants.reduce((sum, grant) => sum + grant.calls, 0)).toBe(1_000 - calls);
    const histories = await historiesOf(rig.env.client, limitWorkflowId('many'));
    expect(histories.length).toBe(2);
    expect(Math.max(...histories.map(({ history }) => history.events!.length))).toBeLessThan(2_000);
    await replay(histories);
  });
});

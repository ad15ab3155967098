import { expect, test } from 'vitest';
import type { LimitsAnswer } from '../../src/contracts/system-api.ts';
import type { LimitStatus } from '../../src/contracts/limits.ts';
import { readLimitRules } from '../../src/limits/rules.ts';
import { knownLimits } from '../../src/temporal/limit-brokers.ts';
import { temporalClient } from '../../src/temporal/connection.ts';
import { startApi } from './api.ts';

const status: LimitStatus = {
  rule: readLimitRules(undefined).of('openai'),
  project: { used: 80, most: 300, left: 220 }, tokens: null, concurrency: { used: 3, most: 10, left: 7 },
  users: [
    { user: 'acme/ann', used: 60, most: 60, left: 0, waiting: 0, awayMs: 30_000 },
    { user: 'rival/bob', used: 20, most: 60, left: 40, waiting: 5, awayMs: 0 },
  ],
  waiting: 5, workers: 2, backOffMs: 10_000,
};

test('limits show what is used, left and waited for, and of users only those of the tenant', async () => {
  const api = await startApi(() => ({ limits: async () => [{ name: 'openai', configured: true, status }] }));
  try {
    const of = async (tenant: string) => (await api.call<LimitsAnswer>('GET', '/system/limits', { headers: { 'x-sheaf-tenant': tenant } })).body.limits;
    const time = expect.stringMatching(/^\d{4}-.*Z$/) as string;
    expect(await of('acme')).toEqual([{
      name: 'openai', configured: true, windowSeconds: 60, project: { used: 80, most: 300, left: 220 }, concurrency: { used: 3, most: 10, left: 7 }, tokens: null,
      waiting: 5, workers: 2, backOffUntil: time, users: [{ owner: 'ann', used: 60, most: 60, left: 0, waiting: 0, waitsUntil: time }],
    }]);
    expect((await of('rival'))[0]!.users).toEqual([{ owner: 'bob', used: 20, most: 60, left: 40, waiting: 5 }]);
    expect((await of('other'))[0]!.users).toEqual([]);
  } finally {
    await api.close();
  }
});

test('a limit that nobody has called under is all there; without Temporal there is a problem with a remedy', async () => {
  const rules = readLimitRules('{"openai": {"concurrency": 5}}');
  const api = await startApi();
  const gone = temporalClient('127.0.0.1:1', 'default');
  const alone = await startApi(() => ({ limits: () => knownLimits(gone.client, rules) }));
  try {
    expect((await api.call<LimitsAnswer>('GET', '/system/limits')).body).toEqual({ limits: [] });
    expect(await alone.refused('GET', '/system/limits')).toMatchObject({ status: 503, code: 'temporal_unavailable', remedy: expect.stringContaining('sheaf system check') });
  } finally {
    await Promise.all([api.close(), alone.close(), gone.close()]);
  }
});

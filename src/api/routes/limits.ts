/** Named limits: what is used of each, and who waits. */
import { API_PREFIX } from '../../contracts/api.ts';
import { limitsAnswer } from '../../contracts/system-api.ts';
import type { KnownLimit } from '../../temporal/limit-brokers.ts';
import { endpoint, reply } from '../endpoint.ts';

const limits = endpoint({
  method: 'get', path: `${API_PREFIX}/system/limits`, id: 'getLimits', tag: 'System',
  summary: 'Show what is used of the named limits',
  description: 'Every limit that is configured or was called under. One that began just now may take some seconds to show.',
  answers: { 200: { description: 'By name', schema: limitsAnswer } },
  fails: ['temporal_unavailable'],
}, async ({ tenant }, { limits: known }) => reply(200, { limits: (await known()).map((one) => answerOf(one, tenant)) }));

function answerOf({ name, configured, status }: KnownLimit, tenant: string) {
  const { rule, project, concurrency, tokens, waiting, workers, backOffMs, users } = status;
  const inFuture = (ms: number): string => new Date(Date.now() + ms).toISOString();
  const mine = users.filter(({ user }) => user.startsWith(`${tenant}/`));
  return {
    name, configured, windowSeconds: rule.perMs / 1000, project, concurrency, tokens, waiting, workers,
    ...(backOffMs > 0 && { backOffUntil: inFuture(backOffMs) }),
    users: mine.map(({ user, awayMs, ...one }) => ({
      owner: user.slice(tenant.length + 1), ...one, ...(awayMs > 0 && { waitsUntil: inFuture(awayMs) }),
    })),
  };
}

export const limitEndpoints = [limits];

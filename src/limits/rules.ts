/** The named limits of the configuration: what `SHEAF_LIMITS` says, checked, with the defaults filled in. */
import { z } from 'zod';
import { LIMIT_NAME, type LimitRule } from '../contracts/limits.ts';
import { readSettingsFile } from '../settings-file.ts';

const calls = z.int().min(1).max(1_000_000);

const limit = z.strictObject({
  per: z.number().min(1).max(86_400).default(60),
  perUser: z.union([z.literal(false), calls], { error: 'expected a number of calls, or false' }).default(60),
  perProject: z.union([
    z.literal(false),
    z.strictObject({ capacity: calls.default(300), refill: z.number().positive().max(100_000).default(5) }),
  ], { error: 'expected {capacity, refill}, or false' }).default({ capacity: 300, refill: 5 }),
  concurrency: z.int().min(1).max(100_000).optional(),
  tokensPerMinute: z.int().min(1).optional(),
});

const limits = z.record(z.string().regex(LIMIT_NAME, 'expected letters, digits, ".", "_", ":" and "-", at most 128'), limit);

export interface LimitRules {
  /** Names that the configuration has. */
  names: readonly string[];
  /** What the configuration says, else the defaults: 60 calls a minute for a user, 300 for all. */
  of(key: string): LimitRule;
}

/** `given`: a file (YAML or JSON), or its content where it begins with `{`. Throws an error whose message names the place. */
export function readLimitRules(given: string | undefined): LimitRules {
  const rules = new Map(Object.entries(readSettingsFile(given, limits)).map(([key, one]) => [key, ruleOf(one)]));
  const standard = ruleOf(limit.parse({}));
  return { names: [...rules.keys()], of: (key) => rules.get(key) ?? standard };
}

function ruleOf({ per, perUser, perProject, concurrency, tokensPerMinute }: z.output<typeof limit>): LimitRule {
  return {
    perMs: per * 1_000,
    perUser: perUser === false ? null : perUser,
    perProject: perProject === false ? null : { capacity: perProject.capacity, refillPerSecond: perProject.refill },
    concurrency: concurrency ?? null,
    tokens: tokensPerMinute === undefined ? null : Math.max(1, Math.floor((tokensPerMinute * per) / 60)),
  };
}

/** The named limits of the configuration: what `SHEAF_LIMITS` says, checked, with the defaults filled in. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type Yaml from 'yaml';
import { z } from 'zod';
import { LIMIT_NAME, type LimitRule } from '../contracts/limits.ts';

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
  const rules = new Map(Object.entries(given === undefined ? {} : parse(given)).map(([key, one]) => [key, ruleOf(one)]));
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

function parse(given: string): z.output<typeof limits> {
  const inline = given.trimStart().startsWith('{');
  const where = inline ? '' : `${given}: `;
  let content: unknown;
  try {
    const text = inline ? given : readFileSync(given, 'utf8');
    // Here, because it would cost every command of the CLI a moment. YAML holds JSON.
    const yaml = createRequire(import.meta.url)('yaml') as typeof Yaml;
    content = yaml.parse(text) ?? {};
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new Error(`${where}${code.startsWith('E') ? `cannot be read (${code})` : firstLine(error)}`, { cause: error });
  }
  const parsed = limits.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new Error(`${where}${parsed.error.issues.map(readable).join('; ')}`, { cause: parsed.error });
}

function readable(issue: z.core.$ZodIssue): string {
  const at = issue.path.join('.');
  // Of the forms that a value may have, the object is the one of which something can be told.
  if (issue.code === 'invalid_union') {
    const inner = issue.errors.flat().find(({ path }) => path.length > 0);
    if (inner !== undefined) return readable({ ...inner, path: [...issue.path, ...inner.path] });
  }
  if (issue.code === 'unrecognized_keys') return `${at}: there is no setting ${issue.keys.join(', ')}`;
  if (issue.code === 'invalid_key') return `${at}: ${issue.issues.map(({ message }) => message).join(', ')}`;
  return at === '' ? issue.message : `${at}: ${issue.message}`;
}

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { readLimitRules } from '../../src/limits/rules.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'sheaf-limits-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: string): string => {
  const at = path.join(folder, name);
  writeFileSync(at, content);
  return at;
};

const DEFAULTS = { perMs: 60_000, perUser: 60, perProject: { capacity: 300, refillPerSecond: 5 }, concurrency: null, tokens: null };

test('a limit that nobody configured allows 60 calls a minute for a user and 300 for all', () => {
  expect(readLimitRules(undefined).of('anything')).toEqual(DEFAULTS);
});

test('a YAML file: what it leaves out has the defaults', () => {
  const rules = readLimitRules(file('limits.yaml', `
google-sheets: {}
openai:
  per: 10
  perUser: false
  perProject: { capacity: 100 }
  concurrency: 20
  tokensPerMinute: 60000
api.example.com:8443:
  perProject: false
`));
  expect(rules.names).toEqual(['google-sheets', 'openai', 'api.example.com:8443']);
  expect(rules.of('google-sheets')).toEqual(DEFAULTS);
  expect(rules.of('openai')).toEqual({ perMs: 10_000, perUser: null, perProject: { capacity: 100, refillPerSecond: 5 }, concurrency: 20, tokens: 10_000 });
  expect(rules.of('api.example.com:8443')).toEqual({ ...DEFAULTS, perProject: null });
});

test('JSON, in a file or in the variable itself', () => {
  expect(readLimitRules(file('limits.json', '{"a": {"perUser": 7}}')).of('a').perUser).toBe(7);
  expect(readLimitRules('{"a": {"perUser": 7}}').of('a').perUser).toBe(7);
});

test.each([
  ['{"openai": {"perUser": "many"}}', 'openai.perUser: expected a number of calls, or false'],
  ['{"openai": {"perProject": {"capacity": 0}}}', 'openai.perProject.capacity: Too small'],
  ['{"openai": {"perMinute": 5}}', 'openai: there is no setting perMinute'],
  ['{"open ai": {}}', 'open ai: expected letters, digits'],
  ['{"openai": ', 'SHEAF_LIMITS'],
  ['/nowhere/limits.yaml', '/nowhere/limits.yaml: cannot be read (ENOENT)'],
])('%s is refused, and the place named', (given, message) => {
  expect(() => readConfig({ SHEAF_LIMITS: given })).toThrow('SHEAF_LIMITS');
  expect(() => readConfig({ SHEAF_LIMITS: given })).toThrow(message);
});

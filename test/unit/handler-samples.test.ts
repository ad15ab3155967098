import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { expect, test } from 'vitest';
import type { Json, RowInput } from '../../src/contracts/row.ts';
import type { HandledOutcome, HandledRow } from '../../src/handlers/handler.ts';
import { findHandler, parseOptions, resolveHandler } from '../../src/handlers/index.ts';
import { handlerContext } from '../servers/handler-context.ts';

const samples = path.resolve(import.meta.dirname, '../../samples');
const records: Record<string, string>[] = parse(await readFile(path.join(samples, 'support-tickets.csv')), { columns: true });
const columns = Object.keys(records[0]!);
const rows = records.map((record, index): HandledRow => ({
  row: index + 2,
  key: record['ticket']!,
  inputHash: 'h',
  input: Object.fromEntries(Object.entries(record).map(([name, cell]) => [name, cell === '' ? null : cell])) as RowInput,
}));

async function run(name: string, options: { [name: string]: Json }): Promise<HandledOutcome[]> {
  const choice = resolveHandler(name, options, samples);
  const handler = findHandler(choice.name);
  const prepared = await handler.prepare(parseOptions(handler, choice.options), handlerContext({ columns, handlerDirs: [samples] }));
  const outcomes: HandledOutcome[] = [];
  for (let at = 0; at < rows.length; at += prepared.batchSize) outcomes.push(...await prepared.handle(rows.slice(at, at + prepared.batchSize), new AbortController().signal));
  await prepared.close();
  return outcomes;
}
const outputOf = (outcome: HandledOutcome | undefined): Json | undefined => (outcome !== undefined && 'output' in outcome ? outcome.output : undefined);

test('the sample sheet has 500 tickets, each with a key of its own, and what real sheets have', () => {
  expect(rows).toHaveLength(500);
  expect(new Set(rows.map(({ key }) => key)).size).toBe(500);
  const text = JSON.stringify(records);
  for (const special of ['\\n', '\\"', 'תודה', 'é', '🎉', '請求書', '""']) expect(text).toContain(special);
});

test('store keeps a ticket with its amount as a number', async () => {
  const outcomes = await run('store', {});
  const withAmount = rows.findIndex(({ input }) => input['amount'] !== null);
  expect(outputOf(outcomes[withAmount])).toMatchObject({ ticket: rows[withAmount]!.key, amount: Number(rows[withAmount]!.input['amount']) });
});

test('categorize with the keywords of the README sorts the tickets', async () => {
  const categories = { billing: 'invoice, refund, receipt, charged, card', account: 'sign in, login, password, locked', bug: 'error, bug, crash, crashes, blank' };
  const outcomes = await run('categorize', { categories, columns: 'subject,message', default: 'other' });
  const count = (name: string): number => outcomes.filter((outcome) => (outputOf(outcome) as { category: string }).category === name).length;
  for (const name of [...Object.keys(categories), 'other']) expect(count(name), name).toBeGreaterThan(30);
  expect(outputOf(outcomes[0])).toMatchObject({ category: 'billing', matched: expect.arrayContaining(['charged', 'invoice', 'refund']) });
});

test('the sample handler says who answers each ticket and until when', async () => {
  const outcomes = await run('./my-handler.ts', { hours: 8 });
  expect(outcomes.filter((outcome) => 'error' in outcome)).toEqual([]);
  expect(outputOf(outcomes[0])).toEqual({ team: 'Billing', urgent: false, due: '2026-11-02T17:00:00.000Z' });
  expect(outputOf(outcomes[3])).toEqual({ team: 'Account', urgent: true, due: '2026-11-03T11:00:00.000Z' });
});

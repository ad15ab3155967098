/** Asks a model about every row of a CSV, so many at once, in a plain loop: what Sheaf is measured against. Prints the seconds. */
import { readFile } from 'node:fs/promises';
import { parse } from 'csv-parse/sync';
import { languageModels } from '../src/models/providers.ts';

const [, , file = '', url = '', model = '', concurrency = '1'] = process.argv;
const settings = { apiKey: 'bench', baseURL: url };
const asked = await languageModels({ prices: {}, limitNames: [], openai: settings, anthropic: settings, google: settings, 'openai-compatible': settings }).open(model);
const startedAt = performance.now();
const rows = (parse(await readFile(file), { columns: true }) as Record<string, string>[]).values();
const { signal } = new AbortController();
const answers: unknown[] = [];
await Promise.all(Array.from({ length: Number(concurrency) }, async () => {
  for (const row of rows) {
    const { text } = await asked.say({ system: 'Name the category.', prompt: JSON.stringify(row), schema: { type: 'object' }, strict: false }, signal);
    answers.push(JSON.parse(text));
  }
}));
console.log((performance.now() - startedAt) / 1000);

/** What models cost: `SHEAF_MODEL_PRICES`, checked. The currency is whatever the table is in. */
import { z } from 'zod';
import { readSettingsFile } from '../settings-file.ts';
import type { Tokens } from './language-model.ts';

const amount = z.number().min(0).max(1_000_000);

/** By `provider:model`, for a million tokens. */
const table = z.record(z.string().min(3).max(200), z.strictObject({ input: amount, output: amount }));

export type PriceTable = Readonly<z.output<typeof table>>;

/** `given`: a file (YAML or JSON), or its content where it begins with `{`. Throws an error whose message names the place. */
export const readPrices = (given: string | undefined): PriceTable => readSettingsFile(given, table);

/** Null: the table does not have the model, or nobody knows what it took. */
export function costOf(prices: PriceTable, model: string, tokens: Tokens | null): number | null {
  const price = prices[model];
  return price === undefined || tokens === null ? null : (tokens.input * price.input + tokens.output * price.output) / 1_000_000;
}

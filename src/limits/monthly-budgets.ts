/** What tenants may spend in a month: `SHEAF_MONTHLY_BUDGETS`, checked. */
import { z } from 'zod';
import { readSettingsFile } from '../settings-file.ts';

/** By tenant; `*` is each of the others. */
const table = z.record(z.string().min(1).max(200), z.number().min(0));

export interface MonthlyBudgets {
  /** In the currency of the price table; null: as much as it likes. */
  of(tenant: string): number | null;
}

/** `given`: a file (YAML or JSON), or its content where it begins with `{`. Throws an error whose message names the place. */
export function readMonthlyBudgets(given: string | undefined): MonthlyBudgets {
  const budgets = readSettingsFile(given, table);
  return { of: (tenant) => budgets[tenant] ?? budgets['*'] ?? null };
}

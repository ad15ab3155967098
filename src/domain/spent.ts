/** Sums of what was paid, where not all is known. */
import type { Spent } from '../contracts/row.ts';

export const NOTHING_SPENT: Readonly<Spent> = { tokens: null, cost: null };

/** Unknown and known is known. */
export function plus(one: Spent, other: Spent): Spent {
  const sum = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : a + b);
  return { tokens: sum(one.tokens, other.tokens), cost: sum(one.cost, other.cost) };
}

/** To be spread into a record, which leaves out what nobody knows. */
export const ifKnown = (spent: Spent): { spent?: Spent } => (spent.tokens === null && spent.cost === null ? {} : { spent });

/** Sums of what was paid, where not all is known. */
import type { Paid, Spent } from '../contracts/row.ts';

export const NOTHING_SPENT: Readonly<Spent> = { tokens: null, cost: null };

/** Unknown and known is known. */
export function plus(one: Spent, other: Spent): Spent {
  const sum = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : a + b);
  const cached = (one.cached ?? 0) + (other.cached ?? 0);
  return { tokens: sum(one.tokens, other.tokens), cost: sum(one.cost, other.cost), ...(cached > 0 && { cached }) };
}

/** Of one row, as the ledger keeps it. */
export const spentOn = ({ tokens, cost, cached }: Paid): Spent => (cached ? { tokens: 0, cost: null, cached: 1 } : { tokens: tokens ?? null, cost: cost ?? null });

/** Whether the ledger says of a row that nothing was paid for it. */
export const wasCached = ({ tokens }: Pick<Spent, 'tokens'>): boolean => tokens === 0;

/** To be spread into a record, which leaves out what nobody knows. */
export const ifKnown = (spent: Spent): { spent?: Spent } => (spent.tokens === null && spent.cost === null ? {} : { spent });

/** What becomes of a budget when a worker tells of it and asks for more. Pure: both stores apply it. */
import type { Budget, BudgetAnswer, BudgetChange } from '../contracts/budget.ts';

/** A worker that has said nothing for so long is gone. What its calls would have cost may have been paid, so it counts as spent. */
export const HOLD_LOST_MS = 5 * 60_000;
/** Sums of fractions are a little off. */
const TOLERANCE = 1e-9;

/** Whether so much more may be spent. Where all is spent, not even what seems to cost nothing. */
export const fits = (max: number, spent: number, amount: number): boolean => spent < max && spent + amount <= max + TOLERANCE;

export function changedBudget(found: Budget | null, { worker, now, max, before, settled, asks }: BudgetChange): { budget: Budget; answer: BudgetAnswer } {
  const budget: Budget = { spent: (found?.spent ?? before) + settled.cost, holds: {} };
  let own = 0;
  for (const [name, hold] of Object.entries(found?.holds ?? {})) {
    if (name === worker) own = hold.amount;
    else if (now - hold.seenAt > HOLD_LOST_MS) budget.spent += hold.amount;
    else budget.holds[name] = hold;
  }
  own = Math.max(0, own - settled.held);
  let held = own + Object.values(budget.holds).reduce((sum, { amount }) => sum + amount, 0);
  let granted = 0;
  for (const amount of asks) {
    if (!fits(max, budget.spent, held + amount)) break;
    own += amount;
    held += amount;
    granted++;
  }
  if (own > 0 || granted > 0) budget.holds[worker] = { amount: own, seenAt: now };
  return { budget, answer: { granted, spent: budget.spent } };
}

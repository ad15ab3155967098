/** What may be spent: by a job (`maxCost`), and by a tenant in a month. Shared by all workers, in the store. */

export interface Budget {
  spent: number;
  /** By worker: what its calls under way are expected to cost, and when it last said so (ms since 1970). */
  holds: { [worker: string]: { amount: number; seenAt: number } };
}

/** What one worker tells of a budget, and asks of it, in one step. */
export interface BudgetChange {
  worker: string;
  /** Milliseconds since 1970. */
  now: number;
  max: number;
  /** Where the budget is new: what had been spent before. */
  before: number;
  /** Calls that have ended: what was held for them, and what they cost. */
  settled: { held: number; cost: number };
  /** What calls are expected to cost that are about to begin; granted from the first on, as far as there is room. */
  asks: number[];
}

export interface BudgetAnswer {
  granted: number;
  spent: number;
}

export const jobBudget = (job: string): string => `job:${job}`;

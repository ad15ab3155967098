/** What may be spent. */
import type { BudgetAnswer, BudgetChange } from '../../contracts/budget.ts';

export interface BudgetStore {
  /** Tells of the tenant's budget of this name and asks for more, in one step over all processes (`domain/budget.ts`). */
  changeBudget(tenant: string, name: string, change: BudgetChange): Promise<BudgetAnswer>;
}

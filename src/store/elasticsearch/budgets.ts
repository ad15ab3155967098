/** Budgets: a document each, changed by compare-and-set. */
import type { Budget } from '../../contracts/budget.ts';
import { changedBudget } from '../../domain/budget.ts';
import type { BudgetStore } from '../ports/budgets.ts';
import type { Cluster } from './connection.ts';
import { documentId, Documents } from './documents.ts';

export interface BudgetSource {
  tenant: string;
  body: string;
}

export const budgetId = (tenant: string, name: string): string => documentId('budget', tenant, name);

export function budgetMethods(cluster: Cluster): BudgetStore {
  const budgets = new Documents<BudgetSource>(cluster, 'budgets');

  return {
    changeBudget: (tenant, name, change) => budgets.change(tenant, budgetId(tenant, name), (found) => {
      const { budget, answer } = changedBudget(found === null ? null : (JSON.parse(found.body) as Budget), change);
      return { write: { tenant, body: JSON.stringify(budget) }, answer };
    }),
  };
}

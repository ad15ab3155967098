/** Budgets, in the control file. */
import type { Budget } from '../../contracts/budget.ts';
import { changedBudget } from '../../domain/budget.ts';
import type { BudgetStore } from '../ports/budgets.ts';
import type { SqliteFile } from './database.ts';

export function budgetMethods(file: SqliteFile): BudgetStore {
  const select = file.db.prepare<[string, string], string>('SELECT body FROM budgets WHERE tenant = ? AND name = ?').pluck();
  const upsert = file.db.prepare<[string, string, string]>('INSERT INTO budgets (tenant, name, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body');

  return {
    changeBudget: (tenant, name, change) => file.write(() => {
      const found = select.get(tenant, name);
      const { budget, answer } = changedBudget(found === undefined ? null : (JSON.parse(found) as Budget), change);
      upsert.run(tenant, name, JSON.stringify(budget));
      return answer;
    }),
  };
}

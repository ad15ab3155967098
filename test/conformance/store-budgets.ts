/** What every store does with budgets: whoever asks, and however many at once, no more is granted than there is. */
import { describe, expect, it } from 'vitest';
import type { BudgetChange } from '../../src/contracts/budget.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob } from './store-samples.ts';

const change = (over: Partial<BudgetChange> = {}): BudgetChange => ({ worker: 'w', now: 0, max: 10, before: 0, settled: { held: 0, cost: 0 }, asks: [], ...over });

export function budgetsConformance(stores: () => { store: Store; other: Store }): void {
  describe('budgets', () => {
    it('grant what is left, to another instance too, and keep tenants and names apart', async () => {
      const { store, other } = stores();
      expect(await store.changeBudget('acme', 'b', change({ before: 4, asks: [3, 3, 3] }))).toEqual({ granted: 2, spent: 4 });
      expect(await other.changeBudget('acme', 'b', change({ worker: 'v', before: 99, asks: [1] }))).toEqual({ granted: 0, spent: 4 });
      expect(await other.changeBudget('acme', 'b', change({ settled: { held: 6, cost: 2 }, asks: [7] }))).toEqual({ granted: 0, spent: 6 });
      expect(await store.changeBudget('globex', 'b', change({ asks: [10] }))).toMatchObject({ granted: 1 });
      expect(await store.changeBudget('acme', 'c', change({ asks: [10] }))).toMatchObject({ granted: 1 });
    });

    it('asked by many at once grant no more than there is', async () => {
      const { store, other } = stores();
      const asked = await Promise.all(Array.from({ length: 30 }, (_, index) => (index % 2 ? store : other).changeBudget('acme', 'b', change({ worker: `w${index}`, asks: [1] }))));
      expect(asked.filter(({ granted }) => granted === 1)).toHaveLength(10);
    });

    it('of a job go with it', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1', { state: 'completed' }));
      await store.changeBudget('acme', 'job:j1', change({ before: 10 }));
      while (!(await store.removeJob('acme', 'j1')));
      expect(await store.changeBudget('acme', 'job:j1', change({ asks: [10] }))).toMatchObject({ granted: 1, spent: 0 });
    });
  });
}

/** What every store does with answers that were paid for. */
import { describe, expect, it } from 'vitest';
import type { AnswerRecord } from '../../src/contracts/answer.ts';
import type { Store } from '../../src/store/store.ts';

const anAnswer = (key: string, over: Partial<AnswerRecord> = {}): AnswerRecord => ({ key, output: { text: 'שלום </data> \u2028', list: [1, null] }, tokens: 15, cost: 0.000_123, ...over });

export function answersConformance(stores: () => { store: Store; other: Store }): void {
  describe('answers', () => {
    it('are given back as they were written, to another instance and not to another tenant', async () => {
      const { store, other } = stores();
      await store.writeAnswer('acme', anAnswer('a'));
      await store.writeAnswer('acme', anAnswer('b', { output: null, tokens: null, cost: null }));
      expect(await other.readAnswers('acme', ['a', 'b', 'c'])).toEqual(new Map([['a', anAnswer('a')], ['b', anAnswer('b', { output: null, tokens: null, cost: null })]]));
      expect(await other.readAnswers('globex', ['a'])).toEqual(new Map());
      expect(await other.readAnswers('acme', [])).toEqual(new Map());
    });

    it('are replaced by newer ones, at the same time too', async () => {
      const { store, other } = stores();
      await store.writeAnswer('acme', anAnswer('a'));
      await Promise.all([store, other, store, other].map((one) => one.writeAnswer('acme', anAnswer('a', { output: 'new' }))));
      expect((await store.readAnswers('acme', ['a'])).get('a')).toEqual(anAnswer('a', { output: 'new' }));
    });

    it('go when they have been kept long enough, and no others', async () => {
      const { store } = stores();
      await store.writeAnswer('acme', anAnswer('a'));
      await store.writeAnswer('globex', anAnswer('a'));
      const later = new Date(Date.now() + 60_000).toISOString();
      const asked = { cursor: null, dryRun: false };
      const sum = (gone: { tenant: string; count: number }[]) => gone.map(({ tenant, count }) => `${tenant} ${count}`).sort();
      expect((await store.sweepAnswers({ ...asked, before: '2020-01-01T00:00:00.000Z' })).gone).toEqual([]);
      expect(sum((await store.sweepAnswers({ ...asked, before: later, dryRun: true })).gone)).toEqual(['acme 1', 'globex 1']);
      expect((await store.readAnswers('acme', ['a'])).size).toBe(1);
      expect(sum((await store.sweepAnswers({ ...asked, before: later })).gone)).toEqual(['acme 1', 'globex 1']);
      expect((await store.readAnswers('acme', ['a'])).size).toBe(0);
    });
  });
}

/** What every store does with failed rows that have a cause in common. */
import { describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../src/domain/fingerprint.ts';
import type { Store } from '../../src/store/store.ts';
import type { FailedRow } from '../../src/store/ports/rows.ts';
import { aLane } from './store-samples.ts';

const failed = (row: number, message: string): FailedRow => ({ row, key: `k${row}`, input: { id: row }, error: { code: 'bad', message, retryable: false } });

/** Two stores open on the same place, as two processes have them. */
export function errorGroupsConformance(stores: () => { store: Store; other: Store }): void {
  describe('groups of failed rows', () => {
    it('are counted by fingerprint, the largest first, with their lowest row, and listed', async () => {
      const { store, other } = stores();
      const commit = (fence: bigint, rows: FailedRow[], cleared: number[] = [], job = 'job') => store.commitRows({ lane: aLane(), job, tags: [], fence, items: [], failed: rows, cleared });
      await commit(1n, [failed(9, 'no style 1'), failed(3, 'no voice'), failed(4, 'no style 2'), failed(7, 'no style 3'), failed(8, 'too long')]);
      await commit(1n, [failed(1, 'no style 9')], [], 'another');
      const of = (message: string): string => fingerprintOf({ code: 'bad', message });
      expect(await other.groupFailedRows('acme', 'job', 10)).toEqual([
        { fingerprint: of('no style 0'), rows: 3, first: 4 }, { fingerprint: of('no voice'), rows: 1, first: 3 }, { fingerprint: of('too long'), rows: 1, first: 8 },
      ]);
      expect(await other.groupFailedRows('acme', 'job', 1)).toHaveLength(1);
      expect(await other.groupFailedRows('globex', 'job', 1)).toEqual([]);
      expect((await other.listFailedRows('acme', 'job', { fingerprint: of('no style 0') }, { limit: 2 })).items.map(({ row }) => row)).toEqual([4, 7]);
      await commit(2n, [failed(9, 'no voice')], [4]);
      expect(await other.groupFailedRows('acme', 'job', 2)).toEqual([{ fingerprint: of('no voice'), rows: 2, first: 3 }, { fingerprint: of('no style 0'), rows: 1, first: 7 }]);
    });
  });
}

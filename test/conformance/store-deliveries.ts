/** Conformance: deliveries of webhooks. */
import { describe, expect, it } from 'vitest';
import type { DeliveryRecord } from '../../src/contracts/webhooks.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob, walk } from './store-samples.ts';

export const aDelivery = (endpoint: string, number: number, over: Partial<DeliveryRecord> = {}): DeliveryRecord => ({
  tenant: 'acme', job: 'told', endpoint, number, type: 'completed', state: 'pending', createdAt: '2026-11-01T10:00:00.000Z', deliveredAt: null, tries: 0, log: [], body: '{"type":"completed"}',
  cursor: { attempt: 1, event: 3, pages: [[1, 2]], finished: 7 }, ...over,
});

export function deliveriesConformance(stores: () => { store: Store; other: Store }): void {
  describe('deliveries', () => {
    it('are kept as they are, and replaced', async () => {
      const { store, other } = stores();
      await store.writeDelivery(aDelivery('job-1', 1));
      expect(await other.getDelivery('acme', 'told', 'job-1', 1)).toEqual(aDelivery('job-1', 1));
      const later = aDelivery('job-1', 1, { state: 'delivered', tries: 1, log: [{ at: '2026-11-01T10:00:01.000Z', status: 200, code: null, ms: 12 }] });
      await other.writeDelivery(later);
      expect(await store.getDelivery('acme', 'told', 'job-1', 1)).toEqual(later);
      expect([await store.getDelivery('acme', 'told', 'job-2', 1), await store.getDelivery('globex', 'told', 'job-1', 1), await store.getDelivery('acme', 'told', 'job-1', 2)]).toEqual([null, null, null]);
    });

    it('are listed by endpoint, in order, and the last of one is known', async () => {
      const { store, other } = stores();
      for (const number of [10, 9, 2, 1]) await store.writeDelivery(aDelivery('job-1', number));
      await store.writeDelivery(aDelivery('tenant-ops', 1));
      await store.writeDelivery(aDelivery('job-1', 1, { job: 'another' }));
      await store.writeDelivery(aDelivery('job-1', 99, { tenant: 'globex' }));
      const found = await walk((page) => other.listDeliveries('acme', 'told', page), 2);
      expect(found.map(({ endpoint, number }) => `${endpoint} ${number}`)).toEqual(['job-1 1', 'job-1 2', 'job-1 9', 'job-1 10', 'tenant-ops 1']);
      expect((await other.lastDelivery('acme', 'told', 'job-1'))?.number).toBe(10);
      expect(await other.lastDelivery('acme', 'told', 'job-2')).toBeNull();
      await expect(store.listDeliveries('acme', 'told', { limit: 2, cursor: 'no' })).rejects.toMatchObject({ code: 'invalid_cursor' });
    });

    it('go with their job', async () => {
      const { store, other } = stores();
      await store.createJob(aJob('told'));
      await store.writeDelivery(aDelivery('job-1', 1));
      await store.writeDelivery(aDelivery('job-1', 1, { job: 'another' }));
      while (!(await store.removeJob('acme', 'told')));
      expect([await other.getDelivery('acme', 'told', 'job-1', 1), (await other.getDelivery('acme', 'another', 'job-1', 1))?.number]).toEqual([null, 1]);
    });
  });
}

/** Deliveries of webhooks: a document each. */
import type { estypes } from '@elastic/elasticsearch';
import type { DeliveryRecord } from '../../contracts/webhooks.ts';
import { deliveryCursor, listed, readCursor } from '../cursor.ts';
import type { DeliveryStore } from '../ports/deliveries.ts';
import type { Cluster } from './connection.ts';
import { documentId, Documents } from './documents.ts';

interface DeliverySource {
  tenant: string;
  job: string;
  endpoint: string;
  number: number;
  /** JSON of the record. */
  record: string;
}

const MAX_LISTED = 1_000;

const recordOf = ({ record }: DeliverySource): DeliveryRecord => JSON.parse(record) as DeliveryRecord;
const deliveryId = (tenant: string, job: string, endpoint: string, number: number): string => documentId(tenant, job, endpoint, number);

export function deliveryMethods(cluster: Cluster): DeliveryStore {
  const deliveries = new Documents<DeliverySource>(cluster, 'deliveries');

  const search = async (tenant: string, terms: Record<string, string>, sort: estypes.SortCombinations[], after: readonly (string | number)[] | null, size: number): Promise<DeliveryRecord[]> => {
    const { hits } = await cluster.search<DeliverySource>('deliveries', tenant, {
      query: { bool: { filter: Object.entries({ tenant, ...terms }).map(([field, value]) => ({ term: { [field]: value } })) } },
      sort, size, _source: ['record'], track_total_hits: false, ...(after !== null && { search_after: [...after] }),
    });
    return hits.hits.flatMap(({ _source }) => (_source ? [recordOf(_source)] : []));
  };

  return {
    writeDelivery: (record) => {
      const { tenant, job, endpoint, number } = record;
      return deliveries.change(tenant, deliveryId(tenant, job, endpoint, number), () => ({ write: { tenant, job, endpoint, number, record: JSON.stringify(record) }, answer: undefined }));
    },

    async getDelivery(tenant, job, endpoint, number) {
      const found = await deliveries.read(tenant, deliveryId(tenant, job, endpoint, number));
      return found === null ? null : recordOf(found);
    },

    lastDelivery: async (tenant, job, endpoint) => (await search(tenant, { job, endpoint }, [{ number: 'desc' }], null, 1))[0] ?? null,

    async listDeliveries(tenant, job, page) {
      const limit = Math.min(page.limit, MAX_LISTED);
      const found = await search(tenant, { job }, [{ endpoint: 'asc' }, { number: 'asc' }], readCursor(page.cursor, deliveryCursor), limit + 1);
      return listed(found, limit, (one) => [one.endpoint, one.number]);
    },
  };
}

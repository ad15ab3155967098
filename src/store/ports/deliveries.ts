/** What webhooks were told of jobs. It goes with the job. */
import type { DeliveryRecord } from '../../contracts/webhooks.ts';
import type { Listed, ListPage } from './lists.ts';

export interface DeliveryStore {
  /** Replaces the one of this job, endpoint and number. */
  writeDelivery(record: DeliveryRecord): Promise<void>;
  getDelivery(tenant: string, job: string, endpoint: string, number: number): Promise<DeliveryRecord | null>;
  /** The one with the highest number. */
  lastDelivery(tenant: string, job: string, endpoint: string): Promise<DeliveryRecord | null>;
  /** By endpoint, then ascending by number. Rejects with `invalid_cursor`. */
  listDeliveries(tenant: string, job: string, page: ListPage): Promise<Listed<DeliveryRecord>>;
}

/** Deliveries of webhooks, in the control file. */
import type { DeliveryRecord } from '../../contracts/webhooks.ts';
import { deliveryCursor, listed, readCursor } from '../cursor.ts';
import type { DeliveryStore } from '../ports/deliveries.ts';
import type { SqliteFile } from './database.ts';

export function deliveryMethods(control: SqliteFile): DeliveryStore {
  const { db } = control;
  const upsert = db.prepare<[string, string, string, number, string]>(`
    INSERT INTO deliveries (tenant, job, endpoint, number, record) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record`);
  const select = db.prepare<[string, string, string, number], string>('SELECT record FROM deliveries WHERE tenant = ? AND job = ? AND endpoint = ? AND number = ?').pluck();
  const newest = db.prepare<[string, string, string], string>('SELECT record FROM deliveries WHERE tenant = ? AND job = ? AND endpoint = ? ORDER BY number DESC LIMIT 1').pluck();
  const list = db.prepare<[string, string, string, number, number], string>(`
    SELECT record FROM deliveries WHERE tenant = ? AND job = ? AND (endpoint, number) > (?, ?) ORDER BY endpoint, number LIMIT ?`).pluck();
  const parsed = (record: string | undefined): DeliveryRecord | null => (record === undefined ? null : (JSON.parse(record) as DeliveryRecord));

  return {
    writeDelivery: (record) => control.write(() => void upsert.run(record.tenant, record.job, record.endpoint, record.number, JSON.stringify(record))),

    getDelivery: (tenant, job, endpoint, number) => control.read(() => parsed(select.get(tenant, job, endpoint, number))),

    lastDelivery: (tenant, job, endpoint) => control.read(() => parsed(newest.get(tenant, job, endpoint))),

    listDeliveries: async (tenant, job, page) => {
      const [endpoint, number] = readCursor(page.cursor, deliveryCursor) ?? ['', 0];
      const found = await control.read(() => list.all(tenant, job, endpoint, number, page.limit + 1));
      return listed(found.map((record) => JSON.parse(record) as DeliveryRecord), page.limit, (one) => [one.endpoint, one.number]);
    },
  };
}

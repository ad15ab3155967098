/** Removing a job from both files, a bounded step a call, the record last: whoever finds it goes on. */
import { jobBudget } from '../../contracts/budget.ts';
import type { JobRecord } from '../../contracts/job.ts';
import { ownsSource } from '../job-records.ts';
import type { Store } from '../store.ts';
import type { SqliteFile } from './database.ts';

/** Rows removed in one transaction: some 100 ms. */
const STEP = 5_000;

/** Of a source, in one transaction of the caller's; false while there is more. */
export function itemRemoval(ledger: SqliteFile): (tenant: string, source: string) => boolean {
  const selectItems = ledger.db.prepare<[string, string, number], number>(`
    SELECT items.id FROM lanes JOIN items ON items.lane = lanes.id WHERE lanes.tenant = ? AND lanes.source = ? LIMIT ?`).pluck();
  const deleteItem = ledger.db.prepare<[number]>('DELETE FROM items WHERE id = ?');
  const deleteText = ledger.db.prepare<[number]>('DELETE FROM item_text WHERE rowid = ?');
  const deleteLedgerLanes = ledger.db.prepare<[string, string]>('DELETE FROM lanes WHERE tenant = ? AND source = ?');

  return (tenant, source) => {
    const ids = selectItems.all(tenant, source, STEP);
    for (const id of ids) {
      deleteText.run(id);
      deleteItem.run(id);
    }
    if (ids.length === STEP) return false;
    deleteLedgerLanes.run(tenant, source);
    return true;
  };
}

export function removal(control: SqliteFile, ledger: SqliteFile): Store['removeJob'] {
  const selectJob = control.db.prepare<[string, string], string>('SELECT record FROM jobs WHERE tenant = ? AND id = ?').pluck();
  const removeItems = itemRemoval(ledger);
  const deleteFailed = ledger.db.prepare<[string, string, string, string, number]>(`
    DELETE FROM failed_rows WHERE tenant = ? AND job = ?
      AND row IN (SELECT row FROM failed_rows WHERE tenant = ? AND job = ? ORDER BY row LIMIT ?)`);
  const deletePages = control.db.prepare<[string, string, string, string, number]>(`
    DELETE FROM pages WHERE tenant = ? AND job = ?
      AND page IN (SELECT page FROM pages WHERE tenant = ? AND job = ? ORDER BY page LIMIT ?)`);
  const deleteEvents = control.db.prepare<[string, string]>('DELETE FROM events WHERE tenant = ? AND job = ?');
  const deleteDeliveries = control.db.prepare<[string, string]>('DELETE FROM deliveries WHERE tenant = ? AND job = ?');
  const deleteKeys = control.db.prepare<[string, string]>('DELETE FROM idempotency_keys WHERE tenant = ? AND job = ?');
  const deleteBudget = control.db.prepare<[string, string]>('DELETE FROM budgets WHERE tenant = ? AND name = ?');
  const deleteTurn = control.db.prepare<[string, string]>('DELETE FROM queue WHERE tenant = ? AND job = ?');
  const deleteLanes = control.db.prepare<[string, string]>('DELETE FROM lanes WHERE tenant = ? AND source = ?');
  const deleteIntents = control.db.prepare<[string, string]>('DELETE FROM intents WHERE tenant = ? AND source = ?');
  const freeLane = control.db.prepare<[string, string, string, string]>(
    'UPDATE lanes SET holder = NULL WHERE tenant = ? AND source = ? AND lane = ? AND holder = ?');
  const deleteJob = control.db.prepare<[string, string]>('DELETE FROM jobs WHERE tenant = ? AND id = ?');

  return async (tenant, id) => {
    const record = await control.read(() => selectJob.get(tenant, id));
    if (record === undefined) return true;
    const job = JSON.parse(record) as JobRecord;
    const alone = ownsSource(job);

    if (alone && !(await ledger.write(() => removeItems(tenant, job.source)))) return false;
    if ((await ledger.write(() => deleteFailed.run(tenant, id, tenant, id, STEP).changes)) === STEP) return false;
    return control.write(() => {
      if (deletePages.run(tenant, id, tenant, id, STEP).changes === STEP) return false;
      deleteEvents.run(tenant, id);
      deleteDeliveries.run(tenant, id);
      deleteKeys.run(tenant, id);
      deleteTurn.run(tenant, id);
      if (alone) {
        deleteLanes.run(tenant, job.source);
        deleteIntents.run(tenant, job.source);
      } else freeLane.run(tenant, job.source, job.lane, id);
      deleteBudget.run(tenant, jobBudget(id));
      deleteJob.run(tenant, id);
      return true;
    });
  };
}

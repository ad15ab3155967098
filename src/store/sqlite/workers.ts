/** What workers say of themselves, in the control file. */
import type { WorkerRecord } from '../../contracts/system.ts';
import type { WorkerStore } from '../ports/workers.ts';
import type { SqliteFile } from './database.ts';

export function workerMethods(file: SqliteFile): WorkerStore {
  const { db } = file;
  const upsert = db.prepare<[string, string]>('INSERT INTO workers (id, record) VALUES (?, ?) ON CONFLICT DO UPDATE SET record = excluded.record');
  const select = db.prepare<[], string>('SELECT record FROM workers ORDER BY id').pluck();
  const remove = db.prepare<[string]>('DELETE FROM workers WHERE id = ?');

  return {
    writeWorker: (worker) => file.write(() => {
      upsert.run(worker.id, JSON.stringify(worker));
    }),
    listWorkers: () => file.read(() => select.all().map((record) => JSON.parse(record) as WorkerRecord)),
    removeWorker: (id) => file.write(() => {
      remove.run(id);
    }),
  };
}

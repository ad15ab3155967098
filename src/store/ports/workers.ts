/** Workers; of no tenant. */
import type { WorkerRecord } from '../../contracts/system.ts';

export interface WorkerStore {
  writeWorker(worker: WorkerRecord): Promise<void>;
  listWorkers(): Promise<WorkerRecord[]>;
  removeWorker(id: string): Promise<void>;
}

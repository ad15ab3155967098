/** Plans: schedules, batches, actions on many jobs, and what jobs depend on. */
import type { JobRecord } from '../../contracts/job.ts';
import type { BatchRecord, BatchTotals, BulkRecord, PlanKind, PlanRecord, PlanRecords } from '../../contracts/plans.ts';
import type { Listed, ListPage } from './lists.ts';

export interface PlanStore {
  /** Where the id is taken, writes nothing and answers what is there; rejects with `idempotency_conflict` where that has another request hash. */
  createPlan<Kind extends PlanKind>(record: PlanRecords[Kind]): Promise<{ record: PlanRecords[Kind]; created: boolean }>;
  getPlan<Kind extends PlanKind>(tenant: string, kind: Kind, id: string): Promise<PlanRecords[Kind] | null>;
  /** Newest first. Rejects with `invalid_cursor`. */
  listPlans<Kind extends PlanKind>(tenant: string, kind: Kind, page: ListPage): Promise<Listed<PlanRecords[Kind]>>;
  /** Writes where the stored revision is the record's, and raises it; null where it is another, or the record is gone. */
  changePlan<Kind extends PlanKind>(record: PlanRecords[Kind]): Promise<PlanRecords[Kind] | null>;
  removePlan(tenant: string, kind: PlanKind, id: string): Promise<void>;
  /** `open` plans of every tenant: the reconciler's list. */
  openPlans(page: ListPage): Promise<Listed<PlanRecord>>;
  /** Jobs that depend on a job, also on one that is gone; in no order that means anything. Rejects with `invalid_cursor`. */
  listDependents(tenant: string, job: string, page: ListPage): Promise<Listed<JobRecord>>;
  batchTotals(tenant: string, batch: string): Promise<BatchTotals>;
  /** Batches and actions on many jobs that were made before and are not `open`, in an order of the store's own. Rejects with `invalid_cursor`. */
  closedPlans(before: string, page: ListPage): Promise<Listed<BatchRecord | BulkRecord>>;
}

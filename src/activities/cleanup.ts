/** Cleanup: what has been kept long enough goes, in steps; the report knows what went and where the next step begins. */
import { Context, heartbeat } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { blobKeys, webPageTime } from '../blobs/keys.ts';
import { SheafError } from '../contracts/errors.ts';
import { isEnded, type JobRecord } from '../contracts/job.ts';
import type { MaintenanceActivities } from '../contracts/maintenance-messages.ts';
import { CLEANUP_KINDS, type CleanupKind, type CleanupReport, type Retention, type Sweep, type Tally } from '../contracts/system.ts';
import { allOf } from '../store/all-of.ts';
import { addTo } from '../store/tallies.ts';
import type { SweepAsked } from '../store/ports/cleanup.ts';
import type { Queue } from '../temporal/queue.ts';
import type { ActivityDeps } from './deps.ts';
import { removeJob } from './maintenance.ts';

/** A step lasts about so long: a run's history then has some thousand steps, two hours of work. */
const STEP_MS = 5_000;
/** Jobs between two heartbeats. */
const JOBS_AT_ONCE = 20;

const WEB_PAGES_AT_ONCE = 200;
const TENANT_SWEPT = '-';

/** What a step has done when its worker dies: the next try counts it and goes on there. */
interface Done {
  step: number;
  cursor: string | null;
  gone: Tally[];
}

export function cleanupActivities(deps: ActivityDeps, client: Client, queue: Queue): Pick<MaintenanceActivities, 'beginCleanup' | 'cleanUpStep'> {
  const { store, keep } = deps;
  const sweeps: Record<CleanupKind, (asked: SweepAsked) => Promise<Sweep>> = {
    outputs: (asked) => store.sweepOutputs(asked), events: (asked) => store.sweepEvents(asked),
    jobs: (asked) => sweepJobs(deps, client, queue, asked), batches: (asked) => sweepBatches(deps, asked), summaries: (asked) => store.sweepSummaries(asked),
    answers: (asked) => store.sweepAnswers(asked), web_pages: (asked) => sweepWebPages(deps, asked),
  };

  return {
    async beginCleanup({ id, dryRun, asked, now }) {
      const before = cutoffs(keep, now);
      const first = kindAfter(null, before);
      if (first === null && !asked) return false;
      const at = new Date(now).toISOString();
      await store.writeCleanup({
        id, dryRun, startedAt: at, updatedAt: at, before, step: 1, gone: [],
        ...(first === null ? { state: 'completed', endedAt: at, position: null } : { state: 'running', endedAt: null, position: { kind: first, cursor: null } }),
      });
      return first !== null;
    },

    async cleanUpStep({ id, step }) {
      const report = await store.getCleanup(id);
      if (!report) throw new SheafError('cleanup_not_found', `There is no cleanup ${id}.`);
      if (report.step >= step || report.position === null) return report.position !== null;
      const { kind, cursor } = report.position;
      const sweep = sweeps[kind];
      const earlier = Context.current().info.heartbeatDetails as Done | undefined;
      const done: Done = earlier?.step === step ? earlier : { step, cursor, gone: [] };
      const until = performance.now() + STEP_MS;
      let next: string | null;
      do {
        Context.current().cancellationSignal.throwIfAborted();
        const swept = await sweep({ before: report.before[kind]!, cursor: done.cursor, dryRun: report.dryRun });
        for (const tally of swept.gone) addTo(done.gone, tally);
        next = swept.next;
        if (next !== null) done.cursor = next;
        heartbeat(done);
      } while (next !== null && performance.now() < until);
      const following = next === null ? kindAfter(kind, report.before) : kind;
      await store.writeCleanup(advanced(report, step, kind, done.gone, following === null ? null : { kind: following, cursor: next }));
      return following !== null;
    },
  };
}

function cutoffs(keep: Retention, now: number): CleanupReport['before'] {
  const before = (kind: keyof Retention): string | null => (keep[kind] === null ? null : new Date(now - keep[kind]).toISOString());
  return { outputs: before('outputs'), events: before('events'), jobs: before('jobs'), batches: before('jobs'), summaries: before('summaries'), answers: before('answers'), web_pages: before('web_pages') };
}

function kindAfter(kind: CleanupKind | null, before: CleanupReport['before']): CleanupKind | null {
  const later = kind === null ? CLEANUP_KINDS : CLEANUP_KINDS.slice(CLEANUP_KINDS.indexOf(kind) + 1);
  return later.find((one) => before[one] !== null) ?? null;
}

function advanced(report: CleanupReport, step: number, kind: CleanupKind, more: Tally[], position: CleanupReport['position']): CleanupReport {
  const gone = report.gone.filter((entry) => entry.kind === kind).map((entry): Tally => ({ ...entry }));
  for (const tally of more) addTo(gone, tally);
  const at = new Date().toISOString();
  return {
    ...report, step, position, updatedAt: at, ...(position === null && { state: 'completed', endedAt: at }),
    gone: [...report.gone.filter((entry) => entry.kind !== kind), ...gone.map(({ tenant, count, bytes }) => ({ kind, tenant, count, bytes }))],
  };
}

/** Jobs with all that they own. One that is taken up again in this very moment stays. */
async function sweepJobs(deps: ActivityDeps, client: Client, queue: Queue, { before, cursor, dryRun }: SweepAsked): Promise<Sweep> {
  const { store } = deps;
  const { items, nextCursor } = await store.endedJobs(before, { limit: JOBS_AT_ONCE, ...(cursor !== null && { cursor }) });
  const gone: Tally[] = [];
  for (const job of items) {
    // A document is kept as long as somebody wants it: it has a cleanup of its own.
    if (job.kind === 'document' || (await isDependedOn(deps, job))) continue;
    const bytes = JSON.stringify(job).length + (await blobBytes(deps, blobKeys.jobFolder(job.tenant, job.id)));
    // From here on nobody can retry it; and if we die, the reconciler goes on with it.
    if (!dryRun && !(await store.changeJob(job.tenant, job.id, job.revision, { desired: 'deleted' }))) continue;
    if (!dryRun) await removeJob(deps, client, queue, { tenant: job.tenant, jobId: job.id });
    addTo(gone, { tenant: job.tenant, count: 1, bytes });
  }
  return { gone, next: nextCursor };
}

/** Whether a job that has not ended waits for this one: gone, it would count as failed. */
async function isDependedOn({ store }: ActivityDeps, { tenant, id }: JobRecord): Promise<boolean> {
  for await (const { state } of allOf((page) => store.listDependents(tenant, id, page))) if (!isEnded(state)) return true;
  return false;
}

/** Batches none of whose jobs is left, and actions on many jobs that have ended: their records last, so that a crash leaves nothing that nobody finds. */
async function sweepBatches(deps: ActivityDeps, { before, cursor, dryRun }: SweepAsked): Promise<Sweep> {
  const { store, blobs } = deps;
  const { items, nextCursor } = await store.closedPlans(before, { limit: JOBS_AT_ONCE, ...(cursor !== null && { cursor }) });
  const gone: Tally[] = [];
  for (const plan of items) {
    const { tenant, kind, id } = plan;
    const left = kind === 'batch' ? (await store.listJobs(tenant, { batch: id }, { limit: 1 })).items.length > 0 : (plan.completedAt ?? before) >= before;
    if (left) continue;
    const folder = kind === 'batch' ? blobKeys.batchFolder(tenant, id) : blobKeys.bulkFolder(tenant, id);
    addTo(gone, { tenant, count: 1, bytes: JSON.stringify(plan).length + (await blobBytes(deps, folder)) });
    if (dryRun) continue;
    for await (const { key } of blobs.list(folder)) await blobs.delete(key);
    await store.removePlan(tenant, kind, id);
  }
  return { gone, next: nextCursor };
}

/** Pages of the web, by the time in their keys, also of tenants who have nothing else any more. The cursor is the last key that was looked at. */
async function sweepWebPages({ blobs }: ActivityDeps, { before, cursor, dryRun }: SweepAsked): Promise<Sweep> {
  const [reached = ''] = cursor?.split('/') ?? [];
  const tenant = (await blobs.tenants()).toSorted().find((one) => one > reached || (one === reached && !cursor?.endsWith(TENANT_SWEPT)));
  if (tenant === undefined) return { gone: [], next: null };
  const gone: Tally[] = [];
  for await (const { key, size } of blobs.list(blobKeys.webPages(tenant))) {
    if ((cursor !== null && key <= cursor) || webPageTime(key) >= Date.parse(before)) continue;
    if (!dryRun) await blobs.delete(key);
    addTo(gone, { tenant, count: 1, bytes: size });
    if (gone[0]!.count >= WEB_PAGES_AT_ONCE) return { gone, next: key };
  }
  return { gone, next: `${tenant}/${TENANT_SWEPT}` };
}

async function blobBytes({ blobs }: ActivityDeps, folder: string): Promise<number> {
  let bytes = 0;
  for await (const { size } of blobs.list(folder)) bytes += size;
  return bytes;
}

/** Deleting sources, and what is kept of their jobs and versions. Every step may be repeated. */
import { heartbeat } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { blobKeys } from '../blobs/keys.ts';
import { isEnded, type JobRecord } from '../contracts/job.ts';
import type { SourceMaintenance, SourceRecord, SourcesCleanup, VersionRecord } from '../contracts/source.ts';
import { allOf as all } from '../store/all-of.ts';
import type { Store } from '../store/store.ts';
import type { Listed, ListPage } from '../store/ports/lists.ts';
import type { Queue } from '../temporal/queue.ts';
import type { ActivityDeps } from './deps.ts';
import { maintenanceActivities, removeJob } from './maintenance.ts';

/** Sources that one step looks at. */
const AT_ONCE = 20;

export function sourceMaintenance(deps: ActivityDeps, client: Client, queue: Queue): SourceMaintenance {
  const { store, blobs } = deps;
  const { stopJob } = maintenanceActivities(deps, client, queue);
  return {
    async stopSource({ tenant, id }) {
      for await (const job of allOf((page) => store.listJobs(tenant, { source: id }, page))) {
        if (!isEnded(job.state)) await stopJob({ tenant, jobId: job.id });
      }
    },

    async removeSource({ tenant, id }) {
      await blobs.deleteUnder(blobKeys.sourceFolder(tenant, id));
      while (!(await store.removeSource(tenant, id))) heartbeat();
    },

    async cleanUpSourcesStep({ tenant, maxAgeHours, environment, dryRun, position }) {
      const report: SourcesCleanup = { sources: 0, jobs: 0, versions: 0 };
      const tenants = tenant === null ? await store.tenants() : [tenant];
      const at = position?.tenant ?? tenants[0];
      if (at === undefined) return { report, position: null };
      const before = new Date(Date.now() - maxAgeHours * 3_600_000).toISOString();
      const cursor = position?.cursor ?? null;
      const { items, nextCursor } = await store.listSources(at, { limit: AT_ONCE, ...(cursor !== null && { cursor }) });
      for (const source of items) {
        heartbeat();
        if (source.deleting || (environment !== null && source.definition.environment !== environment)) continue;
        report.sources++;
        for (const job of await oldJobs(store, source, before)) {
          report.jobs++;
          // From here on nobody can retry it; and if we die, the reconciler goes on with it.
          if (dryRun || !(await store.changeJob(job.tenant, job.id, job.revision, { desired: 'deleted' }))) continue;
          await removeJob(deps, client, queue, { tenant: job.tenant, jobId: job.id });
        }
        for (const version of await versionsBeyond(store, source)) {
          report.versions++;
          if (!dryRun) await removeVersion(deps, version);
        }
      }
      if (nextCursor !== null) return { report, position: { tenant: at, cursor: nextCursor } };
      const next = tenants.find((one) => one > at);
      return { report, position: next === undefined ? null : { tenant: next, cursor: null } };
    },
  };
}

/** A list may be long: each page of it says that this lives. */
const allOf = <T>(list: (page: ListPage) => Promise<Listed<T>>): AsyncGenerator<T> => all(async (page) => {
  const listed = await list(page);
  heartbeat();
  return listed;
});

/** Jobs of the source that ended before; the newest of all stays, so that its status does, and any that something waits for. */
async function oldJobs(store: Store, { tenant, id }: SourceRecord, before: string): Promise<JobRecord[]> {
  const old: JobRecord[] = [];
  let newest = true;
  for await (const job of allOf((page) => store.listJobs(tenant, { source: id }, page))) {
    const spared = newest;
    newest = false;
    if (spared || job.kind !== 'sheet' || !job.request.sync || job.desired !== null || !isEnded(job.state)) continue;
    if ((job.completedAt ?? job.updatedAt) >= before) continue;
    const dependents = await store.listDependents(tenant, job.id, { limit: 100 });
    if (dependents.items.every(({ state }) => isEnded(state)) && dependents.nextCursor === null) old.push(job);
  }
  return old;
}

/** The oldest beyond what is kept; never the current one, nor one whose rows may be in the ledger, nor one that is not settled. */
async function versionsBeyond(store: Store, source: SourceRecord): Promise<VersionRecord[]> {
  const beyond: VersionRecord[] = [];
  let kept = 0;
  for await (const version of allOf((page) => store.listVersions(source.tenant, source.id, page))) {
    const needed = version.sequence === source.current || source.touched.includes(version.sequence) || version.state === 'processing' || version.state === 'waiting';
    if (kept < source.definition.keepVersions || needed) kept++;
    else beyond.push(version);
  }
  return beyond;
}

/** Its pages stay while another version has the same. Files first: whoever finds the record goes on. */
async function removeVersion({ store, blobs }: ActivityDeps, version: VersionRecord): Promise<void> {
  const { tenant, source, sequence, content } = version;
  let shared = false;
  let own = false;
  for await (const other of allOf((page) => store.listVersions(tenant, source, page))) {
    if (other.sequence === sequence) continue;
    if (other.content === content) shared = true;
    if (other.content === sequence) own = true;
  }
  if (!shared) await blobs.deleteUnder(blobKeys.versionFolder(tenant, source, content));
  if (content !== sequence && !own) await blobs.deleteUnder(blobKeys.versionFolder(tenant, source, sequence));
  await store.removeVersion(tenant, source, sequence);
}

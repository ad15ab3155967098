/** Making the members of a batch, and actions on many jobs. Each goes on where its record says that it is. */
import { Context, heartbeat } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { FILES_AT_ONCE, type BatchFile, type BatchRecord, type BulkRecord, type BulkResult, type FilesWithoutJob, type NewJob, type PlanActivities, type PlanRef } from '../contracts/plans.ts';
import { batchOf, changeBatch } from '../temporal/batches.ts';
import { applyToJob, bulkOf } from '../temporal/bulk.ts';
import type { Jobs } from '../temporal/jobs.ts';
import { memberId } from '../temporal/workflow-ids.ts';
import type { FileMaker } from './batch-files.ts';
import type { ActivityDeps } from './deps.ts';

type Asked = 'makeMembers' | 'bulkTurn' | 'selectJobs' | 'applyToJobs' | 'finishBulk';

const AT_ONCE = 10;
/** Jobs in one chunk of an action: their ids pass through the workflow. */
const CHUNK = 50;
const CHANGE_TRIES = 20;

export function batchActivities({ store, blobs }: ActivityDeps, jobs: Jobs, files: FileMaker): Pick<PlanActivities, Asked> {
  /** Writes down how far it is, and takes in what is wanted now. Only while it is not held are members made. */
  const step = (ref: PlanRef, { made, files }: Pick<BatchRecord, 'made' | 'files'>): Promise<BatchRecord> => changeBatch(store, ref, (batch) => ({
    ...batch, made, ...(files && { files }), held: batch.desired === 'paused', open: batch.desired !== 'cancelled' && made < batch.size,
  }));

  /** Answers how many. */
  const makeJobs = async (ref: PlanRef, made: number, lines: string[]): Promise<number> => {
    const idOf = (place: number): string => memberId(ref.tenant, ref.id, made + place);
    const members = independent(lines.slice(made, made + AT_ONCE).map((line) => JSON.parse(line) as NewJob), idOf);
    await Promise.all(members.map((job, place) => jobs.create(job, { id: idOf(place), batch: ref.id })));
    return members.length;
  };

  const makeFiles = async (ref: PlanRef, made: number, before: FilesWithoutJob, lines: string[]): Promise<Pick<BatchRecord, 'made' | 'files'>> => {
    const next = lines.slice(made, made + FILES_AT_ONCE).map((line) => JSON.parse(line) as BatchFile);
    const { duplicate, refused } = await files.make(ref, made, next);
    return { made: made + next.length, files: { duplicate: before.duplicate + duplicate, refused: before.refused + refused } };
  };

  const superseded = async ({ tenant, id, batch }: BulkRecord): Promise<boolean> =>
    batch !== null && (await store.getPlan(tenant, 'batch', batch))?.action !== id;

  const changeBulk = async (ref: PlanRef, decide: (bulk: BulkRecord) => BulkRecord): Promise<void> => {
    for (let tries = 0; tries < CHANGE_TRIES; tries++) {
      if (await store.changePlan<'bulk'>(decide(await bulkOf(store, ref)))) return;
    }
  };

  return {
    async makeMembers(ref) {
      const before = await batchOf(store, ref);
      const list = blobKeys.batchFolder(ref.tenant, ref.id);
      let made: Pick<BatchRecord, 'made' | 'files'> = before;
      if (before.open) {
        const lines = (await blobs.get(blobKeys.batchJobs(ref.tenant, ref.id, before.requestHash))).toString().split('\n');
        for (;;) {
          mayGoOn();
          const batch = await step(ref, made);
          if (!batch.open) break;
          if (batch.held) return { complete: false };
          made = made.files ? await makeFiles(ref, made.made, made.files, lines) : { made: made.made + (await makeJobs(ref, made.made, lines)) };
          heartbeat();
        }
      }
      // A list of files remains: it says what there was, whatever becomes of the documents.
      if (!before.files) await blobs.deleteUnder(list);
      return { complete: true };
    },

    async bulkTurn(ref) {
      const bulk = await bulkOf(store, ref);
      if (await superseded(bulk)) return 'superseded';
      if (bulk.after !== null && (await store.getPlan(ref.tenant, 'bulk', bulk.after))?.state === 'running') return 'wait';
      if (bulk.batch === null || (bulk.action !== 'pause' && bulk.action !== 'cancel')) return 'begin';
      // No member may come after it has gone through them.
      const { open, held } = await batchOf(store, { tenant: ref.tenant, id: bulk.batch });
      return open && !held ? 'wait' : 'begin';
    },

    async selectJobs(ref) {
      const { filter, cursor, chunks, exhausted } = await bulkOf(store, ref);
      if (exhausted) return null;
      const { items, nextCursor } = await store.listJobs(ref.tenant, filter, { limit: CHUNK, ...(cursor !== null && { cursor }) });
      return { chunk: chunks, jobs: items.map(({ id, attempt }) => ({ id, attempt })), nextCursor };
    },

    async applyToJobs({ chunk, jobs: chosen, nextCursor, ...ref }) {
      const bulk = await bulkOf(store, ref);
      if (bulk.chunks > chunk) return !(await superseded(bulk)); // written by a try whose answer was lost
      const results: BulkResult[] = [];
      let goesOn = true;
      for (let index = 0; index < chosen.length && goesOn; index += AT_ONCE) {
        mayGoOn();
        goesOn = !(await superseded(bulk));
        if (!goesOn) break;
        results.push(...(await Promise.all(chosen.slice(index, index + AT_ONCE).map((one) => applyToJob(store, jobs, bulk, one)))));
        heartbeat();
      }
      await blobs.put(blobKeys.bulkResults(ref.tenant, ref.id, chunk), Buffer.from(results.map((result) => `${JSON.stringify(result)}\n`).join('')));
      await changeBulk(ref, (now) => {
        const counts = { ...now.counts };
        for (const { outcome } of results) counts[outcome] += 1;
        return now.chunks > chunk ? now : { ...now, counts, chunks: chunk + 1, cursor: nextCursor, exhausted: nextCursor === null };
      });
      return goesOn;
    },

    finishBulk: ({ state, ...ref }) => changeBulk(ref, (bulk) => ({ ...bulk, state, open: false, completedAt: bulk.completedAt ?? new Date().toISOString() })),
  };
}

/** A worker that stops hands the rest to another. */
const mayGoOn = (): void => Context.current().cancellationSignal.throwIfAborted();

/** The first of these, none of which depends on another: a job is made when all that it depends on is there. */
function independent(members: NewJob[], idOf: (place: number) => string): NewJob[] {
  const ids = new Set<string>();
  for (const [place, { dependsOn }] of members.entries()) {
    if (dependsOn.some((id) => ids.has(id))) return members.slice(0, place);
    ids.add(idOf(place));
  }
  return members;
}

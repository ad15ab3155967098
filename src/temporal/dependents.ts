/** A job has ended, or is gone: tells what waited for that. Nothing is lost where nobody hears it; the reconciler tells it again. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { isEnded, type JobRecord } from '../contracts/job.ts';
import { DEPENDENCY_ENDED, JOB_ENDED } from '../contracts/plans.ts';
import type { Store } from '../store/store.ts';
import { jobWorkflowId } from './workflow-ids.ts';

const AT_ONCE = 10;

/** `beat` is called every few signals. Rejects where Temporal does not answer; may be repeated. */
export async function tellDependents(store: Store, client: Client, job: JobRecord, beat: () => void): Promise<void> {
  if (job.schedule) await signal(client, job.schedule.workflow, JOB_ENDED);
  for (let cursor: string | undefined; ;) {
    const found = await store.listDependents(job.tenant, job.id, { limit: 200, ...(cursor !== undefined && { cursor }) });
    const waiting = found.items.filter(waitsForOthers);
    for (let index = 0; index < waiting.length; index += AT_ONCE) {
      beat();
      await Promise.all(waiting.slice(index, index + AT_ONCE).map((one) => wake(client, one)));
    }
    if (found.nextCursor === null) return;
    cursor = found.nextCursor;
  }
}

/** Whether it may still be held back by what it depends on: it has not started, or not ended for it. */
export const waitsForOthers = ({ state, dependsOn, startedAt }: JobRecord): boolean => dependsOn.length > 0 && startedAt === null && !isEnded(state);

export interface Reminder {
  /** Tells a waiting job that one that it depends on has ended, where it does not seem to know. */
  remind(job: JobRecord): Promise<void>;
}

/** The net under `tellDependents`. Each end is told once, so that a job that goes on waiting is left in peace. */
export function reminder(store: Store, client: Client): Reminder {
  const told = new Map<string, string>();
  return {
    async remind(job) {
      if (!waitsForOthers(job)) return void told.delete(job.id);
      const dependencies = await Promise.all(job.dependsOn.map((id) => store.getJob(job.tenant, id)));
      const news = dependencies.filter((one) => one === null || isEnded(one.state));
      const text = news.map((one) => `${one?.id} ${one?.attempt} ${one?.state}`).join();
      if (news.length === 0 || told.get(job.id) === text) return;
      await wake(client, job);
      told.set(job.id, text);
    },
  };
}

const wake = (client: Client, job: JobRecord): Promise<void> => signal(client, jobWorkflowId(job.id, job.attempt), DEPENDENCY_ENDED);

/** A workflow that is not there (yet, or any more) looks for itself. */
async function signal(client: Client, workflow: string, name: string): Promise<void> {
  try {
    await client.workflow.getHandle(workflow).signal(name);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

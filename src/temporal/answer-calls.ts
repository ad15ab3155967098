/** Tells jobs that services have answered: once for all answers that come within a moment. One that is not told looks by itself. */
import type { Client } from '@temporalio/client';
import { isEnded } from '../contracts/job.ts';
import { ANSWERS_SIGNAL, type JobRef } from '../contracts/messages.ts';
import type { Store } from '../store/store.ts';
import { jobWorkflowId } from './workflow-ids.ts';

const TOGETHER_MS = 500;
const CALL_MS = 5_000;

export interface AnswerCalls {
  /** An answer for this job has been written down. */
  came(job: JobRef): void;
}

export function createAnswerCalls(store: Store, client: Client): AnswerCalls {
  const waiting = new Set<string>();

  const tell = async ({ tenant, jobId }: JobRef): Promise<void> => {
    const job = await store.getJob(tenant, jobId);
    if (!job || isEnded(job.state)) return; // kept for whoever handles the row next
    await client.withDeadline(Date.now() + CALL_MS, () => client.workflow.getHandle(jobWorkflowId(job.id, job.attempt)).signal(ANSWERS_SIGNAL));
  };

  return {
    came(job) {
      const key = `${job.tenant}/${job.jobId}`;
      if (waiting.has(key)) return;
      waiting.add(key);
      setTimeout(() => {
        waiting.delete(key);
        tell(job).catch(() => {}); // it looks by itself
      }, TOGETHER_MS);
    },
  };
}

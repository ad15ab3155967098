/** A run of a schedule: makes the job that is due and lasts as long as that, so that Temporal's overlap policies see what runs. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import {
  CancellationScope, condition, continueAsNew, defineSignal, isCancellation, proxyActivities, setHandler, workflowInfo,
} from '@temporalio/workflow';
import { TASK_QUEUES, type JobRef } from '../contracts/messages.ts';
import { JOB_ENDED, type PlanActivities, type PlanRef } from '../contracts/plans.ts';
import { LOOK_AGAIN_MS, MAX_HISTORY_EVENTS, RECORD } from './activity-options.ts';

const { createScheduledJob, endOfJob, cancelJob } = proxyActivities<PlanActivities>({ ...RECORD, taskQueue: TASK_QUEUES.jobs });

export const jobEndedSignal = defineSignal(JOB_ENDED);
/** Set by Temporal: the time that the run is due at. */
const DUE_AT = defineSearchAttributeKey('TemporalScheduledStartTime', SearchAttributeType.DATETIME);

/** `job` null: the schedule is gone, and no job was made. */
export async function scheduledJob(input: PlanRef): Promise<{ job: string | null; end: string | null }> {
  let asked = true;
  setHandler(jobEndedSignal, () => { asked = true; });
  const { workflowId, typedSearchAttributes, startTime } = workflowInfo();
  const at = (typedSearchAttributes.get(DUE_AT) ?? startTime).toISOString();
  const job = await CancellationScope.nonCancellable(() => createScheduledJob({ ...input, at, workflow: workflowId }));
  if (!job) return { job: null, end: null };

  const ended = async (ref: JobRef): Promise<string> => {
    for (;;) {
      asked = false;
      const end = await endOfJob(ref);
      if (end !== null) return end;
      if (workflowInfo().historyLength >= MAX_HISTORY_EVENTS) await continueAsNew<typeof scheduledJob>(input);
      await condition(() => asked, LOOK_AGAIN_MS);
    }
  };
  try {
    return { job: job.jobId, end: await ended(job) };
  } catch (error) {
    if (!isCancellation(error)) throw error;
    // A newer run takes this one's place (`cancel_other`), once the job has drained.
    await CancellationScope.nonCancellable(async () => {
      await cancelJob(job);
      await ended(job);
    });
    throw error;
  }
}

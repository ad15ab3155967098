/** Temporal's messages to a job, whatever its kind: pause, resume, cancel, priority, concurrency, the word of the queue and of what it depends on. */
import { CancellationScope, CancelledFailure, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import type { EndedState, Priority } from '../contracts/job.ts';
import { QUEUE_SIGNAL, SET_CONCURRENCY, SET_PRIORITY, type Control, type ControlAnswer } from '../contracts/messages.ts';
import { DEPENDENCY_ENDED } from '../contracts/plans.ts';
import type { Verdict } from '../contracts/source.ts';
import type { JobLife } from './job-life.ts';

export const controlUpdates: Record<Control, ReturnType<typeof defineUpdate<ControlAnswer, []>>> = {
  pause: defineUpdate('pause'), resume: defineUpdate('resume'), cancel: defineUpdate('cancel'),
};
export const controlSignals: Record<Control, ReturnType<typeof defineSignal<[]>>> = {
  pause: defineSignal('pause'), resume: defineSignal('resume'), cancel: defineSignal('cancel'),
};
export const priorityUpdate = defineUpdate<ControlAnswer, [Priority]>(SET_PRIORITY);
export const concurrencyUpdate = defineUpdate<ControlAnswer, [number]>(SET_CONCURRENCY);
export const prioritySignal = defineSignal<[Priority]>(SET_PRIORITY);
export const concurrencySignal = defineSignal<[number]>(SET_CONCURRENCY);
export const queueSignal = defineSignal(QUEUE_SIGNAL);
export const dependencySignal = defineSignal(DEPENDENCY_ENDED);
/** Of a job that waits for approval. */
export const verdictUpdates: Record<Verdict, ReturnType<typeof defineUpdate<ControlAnswer, []>>> = { approve: defineUpdate('approve'), reject: defineUpdate('reject') };
export const verdictSignals: Record<Verdict, ReturnType<typeof defineSignal<[]>>> = { approve: defineSignal('approve'), reject: defineSignal('reject') };

/** Wires the job to Temporal's messages, before anything else happens, and runs it to its end. */
export async function live<Result extends { state: EndedState }>(job: JobLife, run: () => Promise<Result>): Promise<Result> {
  for (const control of ['pause', 'resume', 'cancel'] as const) {
    setHandler(controlSignals[control], () => job.heed(control));
    // Not cancellable: an Update gets its answer also after `temporal workflow cancel`.
    setHandler(controlUpdates[control], () => CancellationScope.nonCancellable(() => job.control(control)), { validator: () => job.mayControl(control) });
  }
  setHandler(prioritySignal, (priority) => void job.setPriority(priority));
  setHandler(priorityUpdate, (priority) => job.setPriority(priority), { validator: (priority) => job.maySetPriority(priority) });
  setHandler(concurrencySignal, (concurrency) => void job.setConcurrency(concurrency));
  setHandler(concurrencyUpdate, (concurrency) => job.setConcurrency(concurrency), { validator: (value) => job.maySetConcurrency(value) });
  setHandler(queueSignal, () => job.askQueueAgain());
  setHandler(dependencySignal, () => job.askPlanAgain());
  // `temporal workflow cancel` works as the cancel signal does: what is in flight drains, and the end is written down.
  const root = CancellationScope.current();
  root.cancelRequested.catch(() => CancellationScope.nonCancellable(() => job.heed('cancel')));
  const result = await CancellationScope.nonCancellable(run);
  // Temporal calls a workflow cancelled only where it was asked itself; after the API's cancel it would call this a failure.
  if (result.state === 'cancelled' && root.consideredCancelled) throw new CancelledFailure('The job was cancelled.');
  return result;
}

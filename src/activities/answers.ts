/** What services have answered of the rows that a job gave them: those that do not call back are asked. */
import { cancelled, heartbeat } from '@temporalio/activity';
import type { IntentRecord } from '../contracts/intent.ts';
import type { SheetJobRecord } from '../contracts/job.ts';
import type { JobRef } from '../contracts/messages.ts';
import type { CollectAnswersAnswer } from '../contracts/sheet-messages.ts';
import { judge } from '../domain/later-answers.ts';
import type { LaterAnswers, PreparedHandler } from '../handlers/handler.ts';
import { LimitReached } from '../limits/limits.ts';
import { LOOK_FOR_ANSWERS_MS } from '../workflows/activity-options.ts';
import type { ActivityDeps } from './deps.ts';
import type { PreparedHandlers } from './prepared-handlers.ts';
import { columnNames, HEARTBEAT_MS, loadSheetJob, manifestOf } from './rows.ts';

const ASKED_AT_ONCE = 20;
const LEAST_LOOK_MS = 1_000;

export function answerActivities(deps: ActivityDeps, handlers: PreparedHandlers) {
  return {
    async collectAnswers(input: JobRef & { attempt: number }): Promise<CollectAnswersAnswer> {
      const job = await loadSheetJob(deps, input);
      const pulse = setInterval(() => heartbeat(), HEARTBEAT_MS);
      try {
        return await handlers.with(job, columnNames(manifestOf(job)), (prepared) => collect(deps, job, prepared));
      } finally {
        clearInterval(pulse);
      }
    },
  };
}

async function collect(deps: ActivityDeps, job: SheetJobRecord, prepared: PreparedHandler): Promise<CollectAnswersAnswer> {
  const { store } = deps;
  const stop = new AbortController();
  cancelled().catch(() => stop.abort());
  const { later } = prepared;
  const { deadline } = await store.openIntents(job.tenant, job.id);
  const overdue = new Set<number>();
  const ask = later?.ask ? asking(deps, job, prepared, later, stop.signal) : null;
  // Without anything to ask or to give up there is nothing to read.
  const toRead = ask !== null || (deadline !== null && Date.parse(deadline) <= Date.now());
  for (let cursor: string | undefined; toRead && !stop.signal.aborted; ) {
    const waiting = await store.listIntents(job.tenant, job.id, { state: 'submitted' }, { limit: 500, ...(cursor !== undefined && { cursor }) });
    for (let from = 0; from < waiting.items.length; from += ASKED_AT_ONCE) {
      await Promise.all(waiting.items.slice(from, from + ASKED_AT_ONCE).map(async (intent) => {
        if (await ask?.(intent)) return;
        if (Date.parse(intent.deadline) <= Date.now()) overdue.add(intent.page);
      }));
    }
    if (waiting.nextCursor === null) break;
    cursor = waiting.nextCursor;
  }
  const open = await store.openIntents(job.tenant, job.id);
  const untilDeadline = open.deadline === null ? Infinity : Date.parse(open.deadline) - Date.now();
  return {
    pages: [...new Set([...open.answered, ...overdue])].sort((a, b) => a - b), submitted: open.submitted,
    lookMs: Math.round(Math.max(LEAST_LOOK_MS, Math.min(later?.ask?.everyMs ?? LOOK_FOR_ANSWERS_MS, untilDeadline))),
  };
}

/** Asks about a row; answers whether the work has ended. A named limit that has no calls left is for the next time. */
function asking({ store, limits }: ActivityDeps, job: SheetJobRecord, prepared: PreparedHandler, later: LaterAnswers, signal: AbortSignal): (intent: IntentRecord) => Promise<boolean> {
  let reached = false;
  const keys = prepared.limits ?? [];
  return async (intent) => {
    if (intent.remoteId === null || reached || signal.aborted) return false;
    try {
      const lease = await limits.take(`asking:${job.tenant}/${job.id}`, ASKED_AT_ONCE, signal, { keys, user: `${job.tenant}/${job.owner}`, room: 1 });
      const answer = await later.ask!.answer(intent.remoteId, signal).finally(() => limits.settle(lease));
      if (answer === null || judge(later.terms, answer, 'going_on') === 'going_on') return false;
      // One that has changed since was answered by a callback, or is another call.
      await store.changeIntent({ ...intent, state: 'answered', answer });
      return true;
    } catch (error) {
      if (error instanceof LimitReached) reached = true;
      else if (!signal.aborted) throw error;
      return false;
    }
  };
}

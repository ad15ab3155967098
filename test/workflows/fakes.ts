/** The workflows with activities that a test makes up: fast pages by the thousand, or failures in a row. */
import { randomUUID } from 'node:crypto';
import { heartbeat } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import type { JobState } from '../../src/contracts/job.ts';
import { TASK_QUEUES, WORKFLOWS, type JobActivities, type RecordStateInput } from '../../src/contracts/messages.ts';
import type { PageSpan, ProcessPageInput, RowActivities, SheetJobInput, SheetJobResult } from '../../src/contracts/sheet-messages.ts';
import { pagesOf } from '../../src/domain/paging.ts';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';

export interface FakeJob {
  handle: WorkflowHandle;
  /** Id of the first run. */
  firstRun: string;
  id: string;
  /** Every state that was recorded, in the order of their sequence. */
  records: RecordStateInput[];
  states(): JobState[];
  /** Every call of `processPage`. */
  pages: ProcessPageInput[];
  result(): Promise<SheetJobResult>;
}

type FakeActivities = JobActivities & Omit<RowActivities, 'checkStores' | 'writeBack'>;

export interface Stage {
  /** Starts a job of so many pages; `acts` replace activities, and may call what they replace. */
  start(pages: number, window: number, acts?: (before: FakeActivities, job: FakeJob) => Partial<FakeActivities>, more?: Partial<SheetJobInput>): Promise<FakeJob>;
  /** Where the stage was opened without them. */
  startRows(): void;
  stop(): Promise<void>;
}

const one = { done: 1, unchanged: 0, failed: 0, skipped: 0 };

/** One worker for all jobs of a file; each job has its own activities, found by its id. */
export async function openStage(env: TestWorkflowEnvironment, { rowsLater = false } = {}): Promise<Stage> {
  const jobs = new Map<string, FakeActivities>();
  const of = (ref: { jobId: string }): FakeActivities => jobs.get(ref.jobId)!;
  const worker = await Worker.create({
    connection: env.nativeConnection, namespace: env.namespace ?? 'default', taskQueue: TASK_QUEUES.jobs,
    workflowBundle: { codePath: await bundleWorkflows() },
    activities: {
      admit: (input) => of(input).admit(input),
      recordState: (input) => of(input).recordState(input),
      finishJob: (input) => of(input).finishJob(input),
    } satisfies JobActivities,
  });
  const rows = await Worker.create({
    connection: env.nativeConnection, namespace: env.namespace ?? 'default', taskQueue: TASK_QUEUES.rows,
    activities: {
      openSheet: (input) => of(input).openSheet(input),
      processPage: async (input) => {
        const pulse = setInterval(heartbeat, 1_000);
        try {
          return await of(input).processPage(input);
        } finally {
          clearInterval(pulse);
        }
      },
      checkStores: async () => {},
      collectAnswers: (input) => of(input).collectAnswers(input),
      writeBack: async () => ({ cursor: null, wait: null }),
    } satisfies RowActivities,
  });
  const running = [worker.run()];
  const startRows = (): void => void running.push(rows.run());
  if (!rowsLater) startRows();

  return {
    startRows,
    async start(pages, window, acts = () => ({}), more = {}) {
      const id = `job_${randomUUID()}`;
      const job: FakeJob = {
        id, records: [], pages: [], firstRun: '', handle: env.client.workflow.getHandle(`${id}/1`),
        states: () => job.records.toSorted((a, b) => a.sequence - b.sequence).map(({ state }) => state),
        result: () => job.handle.result() as Promise<SheetJobResult>,
      };
      const counts = () => ({ ...one, done: new Set(pagesOf(job.pages.map(({ page, lastPage = page }): PageSpan => [page, lastPage]))).size });
      const plain: FakeActivities = {
        admit: async () => ({ granted: true, generation: 1, agesAt: 0, state: 'queued', cause: null, reason: null }),
        recordState: async (input) => void job.records.push(input),
        openSheet: async () => ({ total: pages, window, pending: [[1, pages]], counts: { ...one, done: 0 } }),
        processPage: async (input) => {
          job.pages.push(input);
          return { counts: counts(), complete: true, stopped: null, wait: null };
        },
        collectAnswers: async () => ({ pages: [], submitted: 0, lookMs: 1_000 }),
        finishJob: async () => ({ counts: counts() }),
      };
      jobs.set(id, { ...plain, ...acts(plain, job) });
      const input: SheetJobInput = { tenant: 'default', jobId: id, attempt: 1, sequence: 0, priority: 'normal', concurrency: null, ...more };
      const started = await env.client.workflow.start(WORKFLOWS.sheetJob, { workflowId: `${id}/1`, taskQueue: TASK_QUEUES.jobs, args: [input] });
      job.firstRun = started.firstExecutionRunId;
      return job;
    },
    async stop() {
      worker.shutdown();
      rows.shutdown();
      await Promise.all(running);
    },
  };
}

/** A door that activities wait at until the test opens it. */
export function door(): { reached: Promise<void>; open(): void; pass(): Promise<void> } {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    open: () => opened.resolve(),
    pass: () => {
      reached.resolve();
      return opened.promise;
    },
  };
}

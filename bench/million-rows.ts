/** Rows 1, 2 and the last of the budgets: a 1,000,000-row CSV against a bare script, the worker's memory, the history. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { jobWorkflowId } from '../src/temporal/workflow-ids.ts';
import { median, megabytes, seconds } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

const bareScript = fileURLToPath(new URL('bare-csv.ts', import.meta.url));

export async function millionRows({ folder, rounds, scale, say }: Setting): Promise<Measure> {
  const rows = Math.round(1_000_000 * scale);
  const large = await makeSheet(folder, rows);
  const small = await makeSheet(folder, 10_000);
  const runs: { bare: number; sheaf: number; idle: number; peakSmall: number; peakLarge: number; actionsPer10k: number; historyEvents: number }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const bareAt = performance.now();
    await promisify(execFile)(process.execPath, [bareScript, large, path.join(folder, `bare-${round}.db`)]);
    const bare = (performance.now() - bareAt) / 1000;
    const stack = await benchStack(folder, `stack-${round}`, folder);
    try {
      const idle = await stack.workerPeak();
      await stack.run({ source: { path: small }, keyColumns: ['id'] });
      const peakSmall = await stack.workerPeak();
      const { job, seconds: sheaf } = await stack.run({ source: { path: large }, keyColumns: ['id'] });
      const peakLarge = await stack.workerPeak();
      const { actions, events } = await historyOf(stack.temporal, job.id);
      runs.push({ bare, sheaf, idle, peakSmall, peakLarge, actionsPer10k: actions / (rows / 10_000), historyEvents: events });
      say(`round ${round}: bare ${seconds(bare)}, Sheaf ${seconds(sheaf)}, worker ${megabytes(idle)} idle, ${megabytes(peakSmall)} and ${megabytes(peakLarge)} at most`);
    } finally {
      await stack.stop();
    }
  }
  const ratio = median(runs.map(({ sheaf, bare }) => sheaf / bare));
  const memoryRatio = median(runs.map(({ peakLarge, peakSmall }) => peakLarge / peakSmall));
  const above = median(runs.map(({ peakLarge, idle }) => peakLarge - idle));
  const actions = median(runs.map(({ actionsPer10k }) => actionsPer10k));
  const events = Math.max(...runs.map(({ historyEvents }) => historyEvents));
  return {
    title: `${rows.toLocaleString('en')} rows, handler store, against a bare script (bare ${seconds(median(runs.map(({ bare }) => bare)))}, Sheaf ${seconds(median(runs.map(({ sheaf }) => sheaf)))}; medians of ${rounds})`,
    figures: [
      { what: 'time, Sheaf / bare script', measured: ratio.toFixed(2), budget: '≤ 1.25', held: ratio <= 1.25 },
      { what: "worker's peak memory / that of a 10,000-row job", measured: memoryRatio.toFixed(2), budget: '≤ 1.2', held: memoryRatio <= 1.2 },
      { what: "worker's peak memory above idle", measured: megabytes(above), budget: '≤ 200 MB', held: above <= 200e6 },
      { what: 'billable actions per 10,000 rows', measured: actions.toFixed(1), budget: '≤ 25', held: actions <= 25 },
      { what: 'events in one history', measured: String(events), budget: '< 2,000', held: events < 2_000 },
    ],
    details: { rows, runs },
  };
}

/** Actions as Temporal Cloud counts them: starts, activities (each try), timers, signals, updates, upserts, continue-as-new. */
async function historyOf(address: string, job: string): Promise<{ actions: number; events: number }> {
  const connection = await Connection.connect({ address });
  try {
    const { events } = await new Client({ connection }).workflow.getHandle(jobWorkflowId(job, 1)).fetchHistory();
    const billable = (events ?? []).filter((event) =>
      event.workflowExecutionStartedEventAttributes ?? event.activityTaskScheduledEventAttributes ?? event.timerStartedEventAttributes ??
      event.workflowExecutionSignaledEventAttributes ?? event.workflowExecutionUpdateAcceptedEventAttributes ??
      event.upsertWorkflowSearchAttributesEventAttributes ?? event.workflowExecutionContinuedAsNewEventAttributes);
    return { actions: billable.length, events: events?.length ?? 0 };
  } finally {
    await connection.close();
  }
}

/** Replays what tests made: a workflow's history, all its runs, must come out the same with the code as it is now. */
import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';

export interface MadeHistory {
  workflowId: string;
  history: History;
}

/** The histories of every run of a workflow, first to last; none when there is no such workflow. `first`: id of the first run where it is known. */
export async function historiesOf(client: Client, workflowId: string, first?: string): Promise<MadeHistory[]> {
  const histories: MadeHistory[] = [];
  for (let runId = first ?? (await firstRun(client, workflowId)); runId; ) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    histories.push({ workflowId, history });
    runId = history.events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? undefined;
  }
  return histories;
}

async function firstRun(client: Client, workflowId: string): Promise<string | undefined> {
  try {
    const { raw } = await client.workflow.getHandle(workflowId).describe();
    return raw.workflowExecutionInfo?.firstRunId ?? undefined;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** Rejects with the first `DeterminismViolationError`, or what else a replay ended with. */
export async function replay(histories: Iterable<MadeHistory>): Promise<void> {
  const replayed = Worker.runReplayHistories({ workflowBundle: { codePath: await bundleWorkflows() } }, histories);
  for await (const { error } of replayed) if (error) throw error;
}

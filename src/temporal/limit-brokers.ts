/** Brokers of named limits, as workers and the API reach them: a workflow each, started by whoever needs it first. */
import { WithStartWorkflowOperation, WorkflowNotFoundError, type Client } from '@temporalio/client';
import {
  LEASE_UPDATE, LIMIT_STATUS_QUERY,
  type LeaseAnswer, type LeaseRequest, type LimitBrokerInput, type LimitStatus,
} from '../contracts/limits.ts';
import { TASK_QUEUES, WORKFLOWS } from '../contracts/messages.ts';
import { limitWorkflowId } from './workflow-ids.ts';

const PATIENCE_MS = 5_000;
/** As its tasks are short and everybody waits for them. */
const PRIORITY = { priorityKey: 1 };

/** Rejects where Temporal, or a worker for the broker's workflow, does not answer in time. */
export function lease(client: Client, key: string, request: LeaseRequest): Promise<LeaseAnswer> {
  return client.withDeadline(Date.now() + PATIENCE_MS, async () => {
    try {
      return await client.workflow.getHandle(limitWorkflowId(key)).executeUpdate<LeaseAnswer, [LeaseRequest]>(LEASE_UPDATE, { args: [request] });
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
    const input: LimitBrokerInput = { key, rule: request.rule };
    return client.workflow.executeUpdateWithStart<(input: LimitBrokerInput) => Promise<void>, LeaseAnswer, [LeaseRequest]>(LEASE_UPDATE, {
      args: [request],
      startWorkflowOperation: new WithStartWorkflowOperation(WORKFLOWS.limitBroker, {
        workflowId: limitWorkflowId(key), taskQueue: TASK_QUEUES.jobs, args: [input], workflowIdConflictPolicy: 'USE_EXISTING',
        priority: PRIORITY, staticSummary: `limit ${key}`,
      }),
    });
  });
}

/** What a broker says of its limit; null where nobody has used the limit yet. Rejects as `lease` does. */
export async function limitStatus(client: Client, key: string): Promise<LimitStatus | null> {
  try {
    return await client.withDeadline(Date.now() + PATIENCE_MS, () =>
      client.workflow.getHandle(limitWorkflowId(key)).query<LimitStatus, [number]>(LIMIT_STATUS_QUERY, Date.now()));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** Names of the limits that have a broker; one that began just now may be missing. */
export async function limitsInUse(client: Client): Promise<string[]> {
  const names: string[] = [];
  const query = `WorkflowType = '${WORKFLOWS.limitBroker}' AND ExecutionStatus = 'Running'`;
  await client.withDeadline(Date.now() + PATIENCE_MS, async () => {
    for await (const { workflowId } of client.workflow.list({ query })) names.push(workflowId.slice(limitWorkflowId('').length));
  });
  return names;
}

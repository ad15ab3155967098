/** Brokers of named limits, as workers and the API reach them: a workflow each, started by whoever needs it first. */
import { WithStartWorkflowOperation, WorkflowNotFoundError, type Client } from '@temporalio/client';
import {
  LEASE_UPDATE, LIMIT_STATUS_QUERY,
  type LeaseAnswer, type LeaseRequest, type LimitBrokerInput, type LimitRule, type LimitStatus,
} from '../contracts/limits.ts';
import { SheafError } from '../contracts/errors.ts';
import { TASK_QUEUES, WORKFLOWS } from '../contracts/messages.ts';
import { LimitBroker } from '../domain/limit-broker.ts';
import { limitWorkflowId } from './workflow-ids.ts';

/** What a worker waits for; longer, since it has nothing better to do. */
const LEASE_MS = 5_000;
const STATUS_MS = 2_000;
/** As its tasks are short and everybody waits for them. */
const PRIORITY = { priorityKey: 1 };

/** Rejects where Temporal, or a worker for the broker's workflow, does not answer in time. */
export function lease(client: Client, key: string, request: LeaseRequest): Promise<LeaseAnswer> {
  return client.withDeadline(Date.now() + LEASE_MS, async () => {
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

export interface KnownLimit {
  name: string;
  configured: boolean;
  status: LimitStatus;
}

/** Every limit that is configured or has a broker, by name; one that began just now may be missing. Rejects with `temporal_unavailable`. */
export async function knownLimits(client: Client, rules: { names: readonly string[]; of(name: string): LimitRule }): Promise<KnownLimit[]> {
  try {
    const names = [...new Set([...rules.names, ...(await limitsInUse(client))])].sort();
    return await Promise.all(names.map(async (name) => ({
      name, configured: rules.names.includes(name),
      status: (await limitStatus(client, name)) ?? new LimitBroker(rules.of(name)).status(Date.now()),
    })));
  } catch (error) {
    throw new SheafError('temporal_unavailable', 'The brokers of the limits do not answer.', {
      remedy: 'They are workflows: look whether Temporal and a worker run; `sheaf system check` tells.', cause: error,
    });
  }
}

/** Null where nobody has used the limit yet. */
async function limitStatus(client: Client, key: string): Promise<LimitStatus | null> {
  try {
    return await client.withDeadline(Date.now() + STATUS_MS, () =>
      client.workflow.getHandle(limitWorkflowId(key)).query<LimitStatus, [number]>(LIMIT_STATUS_QUERY, Date.now()));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

async function limitsInUse(client: Client): Promise<string[]> {
  const names: string[] = [];
  const query = `WorkflowType = '${WORKFLOWS.limitBroker}' AND ExecutionStatus = 'Running'`;
  await client.withDeadline(Date.now() + STATUS_MS, async () => {
    for await (const { workflowId } of client.workflow.list({ query })) names.push(workflowId.slice(limitWorkflowId('').length));
  });
  return names;
}

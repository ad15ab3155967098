/** A job's webhooks are workflows, one an endpoint: told that there is news, started where they do not run. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { SheafError } from '../contracts/errors.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import { WEBHOOK_AGAIN, WEBHOOK_NEWS, WEBHOOK_WORKFLOW, type WebhookInput, type WebhookRef } from '../contracts/webhooks.ts';
import { webhookWorkflowId } from './workflow-ids.ts';

const signal = async (client: Client, ref: WebhookRef, name: string, args: unknown[]): Promise<void> => {
  await client.workflow.signalWithStart(WEBHOOK_WORKFLOW, {
    workflowId: webhookWorkflowId(ref.jobId, ref.endpoint), taskQueue: TASK_QUEUES.jobs, args: [ref satisfies WebhookInput], signal: name, signalArgs: args,
    staticSummary: `webhook ${ref.endpoint} of ${ref.jobId}`,
  });
};

/** Rejects where Temporal does not answer; may be repeated. */
export const tellWebhook = (client: Client, ref: WebhookRef): Promise<void> => signal(client, ref, WEBHOOK_NEWS, []);

/** Rejects with `temporal_unavailable`. */
export async function repeatDelivery(client: Client, ref: WebhookRef, number: number): Promise<void> {
  try {
    await signal(client, ref, WEBHOOK_AGAIN, [number]);
  } catch (error) {
    throw new SheafError('temporal_unavailable', 'Temporal cannot be reached, and it keeps the deliveries.', { remedy: 'Try again when it is back; `sheaf system check` tells.', cause: error });
  }
}

/** The job is gone: nothing of it is told any more. */
export async function endWebhook(client: Client, { jobId, endpoint }: WebhookRef): Promise<void> {
  try {
    await client.workflow.getHandle(webhookWorkflowId(jobId, endpoint)).terminate('The job was deleted.');
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

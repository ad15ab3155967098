/**
 * Tells one endpoint what becomes of one job, in order: what is new is read from the store, so that whoever tells this
 * workflow has nothing to hand over, and the job never waits for it. Ends with the job, and begins anew when that is retried.
 */
import { CancellationScope, condition, continueAsNew, defineSignal, isCancellation, proxyActivities, setHandler } from '@temporalio/workflow';
import { TASK_QUEUES } from '../contracts/messages.ts';
import { WEBHOOK_AGAIN, WEBHOOK_NEWS, type WebhookActivities, type WebhookInput, type WebhookMessage } from '../contracts/webhooks.ts';
import { RECORD, WEBHOOK, WEBHOOK_LEAST_MS, WEBHOOK_LOOK_MS, WEBHOOK_PERSISTENCE_MS, WEBHOOK_WAIT_MS } from './activity-options.ts';
import { historyIsFull } from './history.ts';

export const newsSignal = defineSignal(WEBHOOK_NEWS);
export const againSignal = defineSignal<[number]>(WEBHOOK_AGAIN);

const records = proxyActivities<WebhookActivities>({ ...RECORD, taskQueue: TASK_QUEUES.webhooks });

export async function jobWebhooks({ carried, ...ref }: WebhookInput): Promise<void> {
  let news = false;
  const again: number[] = carried?.again ?? [];
  setHandler(newsSignal, () => { news = true; });
  setHandler(againSignal, (number) => { if (Number.isInteger(number) && !again.includes(number)) again.push(number); });
  let { cursor, number } = carried ?? await records.openWebhook(ref);

  const repeat = async (): Promise<void> => {
    for (let asked = again[0]; asked !== undefined; asked = again[0]) {
      if (asked <= number) await records.redeliverWebhook({ ...ref, number: asked });
      again.shift();
    }
  };

  /** As often as it takes, for a day after what it tells of. A wait between two tries ends when somebody asks for another delivery: the endpoint may be back. */
  const deliver = async (message: WebhookMessage): Promise<void> => {
    const input = { ...ref, number, message };
    for (;;) {
      const left = Math.max(WEBHOOK_LEAST_MS, Date.parse(message.at) + WEBHOOK_PERSISTENCE_MS - Date.now());
      const tries = proxyActivities<WebhookActivities>({ ...WEBHOOK, taskQueue: TASK_QUEUES.webhooks, scheduleToCloseTimeout: left, summary: `${message.type}, no. ${number}` });
      const scope = new CancellationScope();
      let settled = false;
      const failure = scope.run(() => tries.deliverWebhook(input)).then(() => null, (error: unknown) => error).finally(() => { settled = true; });
      await condition(() => settled || again.length > 0);
      if (!settled) scope.cancel();
      const error = await failure;
      if (error === null) return;
      if (!isCancellation(error)) return records.giveUpWebhook(input);
      await repeat();
    }
  };

  for (;;) {
    await repeat();
    news = false;
    const found = await records.webhookNews({ ...ref, cursor });
    for (const message of found.messages) {
      number += 1;
      await deliver(message);
      cursor = message.cursor;
      if (historyIsFull()) await continueAsNew<typeof jobWebhooks>({ ...ref, carried: { cursor, number, again } });
    }
    cursor = found.cursor;
    if (historyIsFull()) await continueAsNew<typeof jobWebhooks>({ ...ref, carried: { cursor, number, again } });
    if (found.next === 'more' || news || again.length > 0) continue;
    if (found.next === 'over') return;
    await condition(() => news || again.length > 0, found.next === 'look' ? WEBHOOK_LOOK_MS : WEBHOOK_WAIT_MS);
  }
}

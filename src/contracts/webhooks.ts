/** What a job tells servers of its user's: messages, their endpoints, and the log of deliveries. Types only, so that the workflow may import it. */
import type { Counts } from './job.ts';
import type { JobRef } from './messages.ts';
import type { PageSpan } from './sheet-messages.ts';
import type { Json } from './row.ts';

export const WEBHOOK_EVENTS = ['progress', 'completed', 'failed', 'cancelled', 'item_failed', 'waiting'] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];
/** What somebody wants who does not say. */
export const DEFAULT_WEBHOOK_EVENTS: readonly WebhookEvent[] = ['completed', 'failed', 'cancelled', 'waiting'];

export interface WebhookEndpoint {
  url: string;
  events: WebhookEvent[];
  /** The name of a secret, never the secret. */
  secret: string;
}

/** How far a job has been told to one endpoint: what comes after it is news. */
export interface WebhookCursor {
  attempt: number;
  /** `seq` of the job's last event; 0: none. */
  event: number;
  /** Pages whose failed rows have been told, of this attempt. */
  pages: PageSpan[];
  /** Rows that were finished when progress was told last. */
  finished: number;
}

interface AnyMessage {
  /** ISO 8601. */
  at: string;
  attempt: number;
  /** After this message. */
  cursor: WebhookCursor;
}

/** What is to be told; references where it would be rows. It passes through history. */
export type WebhookMessage = AnyMessage & (
  | { type: 'completed' | 'failed' | 'cancelled' | 'waiting'; message: string; details: { [key: string]: Json } }
  | { type: 'progress'; counts: Counts; total: number | null }
  /** Failed rows of a page, so many a message. */
  | { type: 'item_failed'; page: number; chunk: number }
);
export const ITEMS_PER_MESSAGE = 100;

export const DELIVERY_STATES = ['pending', 'delivered', 'failed'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

export interface DeliveryTry {
  /** ISO 8601. */
  at: string;
  /** Of the answer; null: there was none. */
  status: number | null;
  /** Why it was no success. */
  code: string | null;
  ms: number;
}

export interface DeliveryRecord {
  tenant: string;
  job: string;
  endpoint: string;
  /** From 1, in the order in which the endpoint is told. */
  number: number;
  type: WebhookEvent;
  state: DeliveryState;
  createdAt: string;
  deliveredAt: string | null;
  tries: number;
  /** The newest. */
  log: DeliveryTry[];
  /** As it is sent each time. */
  body: string;
  cursor: WebhookCursor;
}
/** Of tries, kept with a delivery. */
export const TRIES_KEPT = 20;

export const WEBHOOK_WORKFLOW = 'jobWebhooks';
/** A Signal: the job has something to tell. */
export const WEBHOOK_NEWS = 'news';
/** A Signal with the number of a delivery that is to be sent once more. */
export const WEBHOOK_AGAIN = 'again';

export interface WebhookRef extends JobRef {
  endpoint: string;
}

export interface WebhookInput extends WebhookRef {
  /** Only in the input of a run that continues another. */
  carried?: WebhookProgress & { again: number[] };
}

export interface WebhookProgress {
  cursor: WebhookCursor;
  /** Of the last delivery. */
  number: number;
}

export interface WebhookNews {
  /** Ascending; empty: there is nothing new. */
  messages: WebhookMessage[];
  /** After all that was looked at. */
  cursor: WebhookCursor;
  /** `more`: at once. `look`: rows are running, look again in a while. `wait`: until told. `over`: the job has ended and all is told, or it is gone. */
  next: 'more' | 'look' | 'wait' | 'over';
}

export interface WebhookActivities {
  /** Where an earlier run of this endpoint's workflow has got to. */
  openWebhook(ref: WebhookRef): Promise<WebhookProgress>;
  /** Reads, and changes nothing. */
  webhookNews(input: WebhookRef & { cursor: WebhookCursor }): Promise<WebhookNews>;
  /** Resolves when the endpoint has taken it, or there is nobody to tell any more. */
  deliverWebhook(input: WebhookRef & { number: number; message: WebhookMessage }): Promise<void>;
  /** The endpoint has not taken it, and is not asked any more. */
  giveUpWebhook(input: WebhookRef & { number: number; message: WebhookMessage }): Promise<void>;
  /** Sends what was sent before, once. Resolves whatever the endpoint says. */
  redeliverWebhook(input: WebhookRef & { number: number }): Promise<void>;
}

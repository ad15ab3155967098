/** A row that was sent to a service which answers later: what is known of the call before it, while it is under way, and after. */
import type { Json } from './row.ts';

/**
 * `calling`: the call is about to be made, or was, and nobody knows. `submitted`: the service has taken it and will answer.
 * `answered`: it has, and the row has no outcome for it yet. `settled`: the row has one.
 */
export type IntentState = 'calling' | 'submitted' | 'answered' | 'settled';

/** How a service's answers are told to be its own, and how they say that the work is done. */
export interface AnswerTerms {
  /** Secret that its callbacks are signed with; null: none are taken. */
  signing: string | null;
  /** JSON pointer to the state of the work. */
  state: string;
  done: string[];
  failed: string[];
}

export interface IntentRecord {
  tenant: string;
  source: string;
  lane: string;
  /** The item's. */
  key: string;
  /** The row as it is sent, and by which handler: another content is other work. */
  work: string;
  /** The Idempotency-Key of the call. */
  callKey: string;
  /** How often the service has failed this work: the next call is a new one to it. */
  round: number;
  /** In the address that it is called back at. */
  token: string;
  /** Who waits for it. */
  job: string;
  page: number;
  row: number;
  state: IntentState;
  /** ISO 8601: when it was called first. */
  sentAt: string;
  /** What the service calls it. */
  remoteId: string | null;
  /** ISO 8601: until when its answer is waited for. */
  deadline: string;
  terms: AnswerTerms;
  /** As it came; null until then. */
  answer: Json;
  /** Raised by every write. */
  revision: number;
}

/** What a job has with services. */
export interface OpenIntents {
  /** Pages with rows that are `answered`, ascending. */
  answered: number[];
  /** Rows that are `submitted`. */
  submitted: number;
  /** ISO 8601: the first of their deadlines; null where there is none. */
  deadline: string | null;
}

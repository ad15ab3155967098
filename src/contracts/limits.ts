/**
 * Named limits: what each allows, and what workers and the broker of a limit say to each other. The broker's workflow
 * imports it. Times cross between processes as spans, never as moments: each has a clock of its own.
 */

/** Names of services, or of hosts, with a port. */
export const LIMIT_NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

export const LEASE_UPDATE = 'lease';
export const LIMIT_STATUS_QUERY = 'limitStatus';

/** What the owner of an API allows. A call takes from all of it or does not happen. */
export interface LimitRule {
  /** The length of the windows. */
  perMs: number;
  /** Most calls of one user (tenant and owner) in any window; null: as many as the project has. */
  perUser: number | null;
  /** A bucket for all users together; in any window never more than it holds, or than is refilled in one where that is more. */
  perProject: { capacity: number; refillPerSecond: number } | null;
  /** Most calls at the same time. */
  concurrency: number | null;
  /** Most tokens in any window. Known after a call, so what a call takes is what calls took lately. */
  tokens: number | null;
}

/** One worker asks for calls and tells what became of those it was given. */
export interface LeaseRequest {
  /** Unique to the process. */
  worker: string;
  /** Raised with every request; one that comes twice gets the same answer. */
  seq: number;
  rule: LimitRule;
  /** When the worker read the rule, ms since the epoch: the newest is in force. */
  configuredAt: number;
  /** By user: calls wanted beyond those in hand. */
  wants: Record<string, number>;
  /** What a call is expected to take. */
  tokensPerCall: number;
  /** Calls that were made: of which grant, how many ms ago at the latest, how many, and their tokens. No calls: what calls took beside what was told before. */
  used: { grant: number; agoMs: number; calls: number; tokens: number }[];
  /** Calls that will not be made. */
  returned: { grant: number; calls: number }[];
  /** Calls that are under way, and those that wait. */
  running: number;
  /** What it was told last that it may have under way: it begins calls up to there until it hears otherwise. */
  places: number;
  waiting: number;
  /** A server said to hold back for so long; 0: none did. */
  backOffMs: number;
  /** By user: whose calls were too long in coming, and who will come again after so long. */
  away: Record<string, number>;
}

export interface LeaseAnswer {
  grants: { grant: number; user: string; calls: number; inMs: number; forMs: number }[];
  /** Calls that the worker may have under way; null: as many as it likes. */
  places: number | null;
  /** Nobody calls for so long. */
  backOffMs: number;
  /** By user, for wants that got nothing: when that may change. */
  nextInMs: Record<string, number>;
  /** Ask again after so long, while there is something to ask. */
  intervalMs: number;
}

/** Calls or tokens in a step of time, ascending. */
export type Use = [step: number, amount: number];

export interface Meter {
  uses: Use[];
  /** What was in the bucket of calls, not yet drained, at `at` (ms): what came before the uses. */
  level: number;
  at: number;
}

/** Calls that a worker may begin from `from` until `until` (ms since the epoch). */
export interface Grant {
  id: number;
  user: string;
  calls: number;
  tokensPerCall: number;
  from: number;
  until: number;
  /** Of the answer that carried it; null: not sent yet. */
  sentIn: number | null;
}

export interface LimitWorker {
  seq: number;
  seenAt: number;
  wants: Record<string, number>;
  tokensPerCall: number;
  grants: Grant[];
  running: number;
  waiting: number;
  /** What it was given, and what it may still go by until it asks again. */
  places: number;
  holds: number;
  /** By user: until when those who made room for others stay away. */
  away: Record<string, number>;
}

/** All that the broker of a limit knows. Plain JSON, bounded by users and workers of the last window. */
export interface LimitState {
  rule: LimitRule;
  configuredAt: number;
  project: Meter;
  tokens: Use[];
  users: Record<string, { uses: Use[]; turn: number }>;
  workers: Record<string, LimitWorker>;
  backOffUntil: number;
  /** Raised with every grant. */
  turn: number;
}

export interface LimitBrokerInput {
  key: string;
  /** Until the first worker tells its own. */
  rule: LimitRule;
  /** Only in the input of a run that continues another. */
  carried?: LimitState;
}

/** What is used of an allowance now. `left`: calls that could be made at once. */
export interface LimitUse {
  used: number;
  most: number;
  left: number;
}

export interface LimitStatus {
  rule: LimitRule;
  project: LimitUse | null;
  tokens: LimitUse | null;
  concurrency: LimitUse | null;
  /** Those who have called in the last window, wait, or stay away for so long because there was nothing for them. */
  users: { user: string; used: number; most: number | null; left: number | null; waiting: number; awayMs: number }[];
  /** Calls that wait. */
  waiting: number;
  workers: number;
  /** Nobody calls for so long; 0: nobody said to hold back. */
  backOffMs: number;
}

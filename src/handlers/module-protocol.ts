/** What the two sides of a module's thread say to each other. */
import type { MessagePort } from 'node:worker_threads';
import type { Json, RowFailure } from '../contracts/row.ts';
import type { HandledRow, HandlerLog } from './handler.ts';

export interface HostData {
  /** file: URL of the module. */
  url: string;
  options: { [name: string]: Json };
  columns: string[];
  /** Ours alone: the module may use the thread's own port as it likes. */
  port: MessagePort;
  /** Shared with the outside, which can read it even while this thread is stuck: see STARTED and RUNNING. */
  progress: SharedArrayBuffer;
}

/** Slot of the highest call id that the module was called for; ids start at 1 and are started in order. */
export const STARTED = 0;
/** Slot of the call whose synchronous part runs right now; 0 when none. */
export const RUNNING = 1;

/** What a module exports beside its function. */
export interface LoadedModule {
  version: string | number | null;
  columns: string[] | null;
  /** Null: it takes one row a call. */
  batchSize: number | null;
  concurrency: number;
  /** Names of limits that each call takes from. */
  limits: string[];
}

export interface HostCall {
  id: number;
  rows: HandledRow[];
}

/** `json` is the output's text. */
export type HostOutcome = { json: string } | { error: RowFailure; retryAfterSeconds?: number };

export type ToHost = { calls: HostCall[] } | { abort: number; reason: string } | { ping: true };
export type FromHost =
  | { loaded: LoadedModule }
  | { invalid: string }
  | { results: { id: number; outcomes: HostOutcome[] }[] }
  | { log: keyof HandlerLog; message: string; data: object }
  | { pong: true };

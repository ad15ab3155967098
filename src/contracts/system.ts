/** What is known of the installation as a whole: its workers, its task queues, what was cleaned up. */

/** One worker process, as it last said of itself. */
export interface WorkerRecord {
  /** Made anew with each start. */
  id: string;
  host: string;
  pid: number;
  /** ISO 8601. */
  startedAt: string;
  seenAt: string;
  versions: { sheaf: string; node: string; temporal: string };
  /** Activities that run, and those that may, by task queue. */
  slots: { queue: string; used: number; total: number }[];
  /** It takes no further pages for now: CPU or memory in use is above its target. */
  throttled: boolean;
  /** Workflows held in memory. */
  cachedWorkflows: number;
  /** 1 is one core in full use, since the record before. */
  cpu: number;
  cores: number;
  /** Bytes: of the process, and of its host, or of the container where that has less. */
  memory: { used: number; hostFree: number; hostTotal: number };
}

/** How often a worker says that it lives. */
export const WORKER_BEAT_MS = 5_000;
/** A worker that has not been heard of for so long is lost … */
export const WORKER_LOST_MS = 20_000;
/** … and forgotten after this. */
export const WORKER_FORGOTTEN_MS = 10 * 60_000;

/** What Temporal says of a task queue. */
export interface TaskQueueStats {
  queue: string;
  tasks: 'workflows' | 'activities';
  /** Tasks that no worker has taken; about. */
  backlog: number;
  /** Age of the oldest of them, in seconds. */
  oldestSeconds: number;
  /** Tasks a second, over the last half minute or so. */
  addedPerSecond: number;
  takenPerSecond: number;
  /** Processes that ask for tasks. */
  pollers: number;
}

/** What cleanup removes, in its order: what hangs on a job before the job, and batches (with actions on many jobs) after their jobs. */
export const CLEANUP_KINDS = ['outputs', 'events', 'jobs', 'batches', 'summaries', 'answers', 'web_pages'] as const;
export type CleanupKind = (typeof CLEANUP_KINDS)[number];

/** How long each kind is kept, in milliseconds; null: for ever. Batches are kept as jobs are. */
export type Retention = Record<Exclude<CleanupKind, 'batches'>, number | null>;

export interface Tally {
  tenant: string;
  count: number;
  bytes: number;
}

/** One bounded step through a kind: what went, or would go, and where to go on; null: at the end. */
export interface Sweep {
  gone: Tally[];
  next: string | null;
}

export interface CleanupReport {
  id: string;
  /** Nothing was removed, only counted. */
  dryRun: boolean;
  state: 'queued' | 'running' | 'completed';
  startedAt: string;
  updatedAt: string;
  endedAt: string | null;
  /** What is older went, or would go. Null: the kind is kept for ever. Fixed at the start. */
  before: Record<CleanupKind, string | null>;
  /** Steps that are in the counts; guards the report against late writers. */
  step: number;
  /** Where the next step begins; null before the first and after the last. */
  position: { kind: CleanupKind; cursor: string | null } | null;
  gone: (Tally & { kind: CleanupKind })[];
}

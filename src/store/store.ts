/**
 * The port to the store: job records, the ledger of items, page counts, failed rows, events. Every method takes the
 * tenant and sees nothing of any other. Every write is idempotent by its key and may be repeated after a crash.
 * Methods reject with `store_unavailable` when the store cannot be reached.
 */
import type { AnswerRecord } from '../contracts/answer.ts';
import type { BudgetAnswer, BudgetChange } from '../contracts/budget.ts';
import type { Json, RowFailure, RowInput, Spent } from '../contracts/row.ts';
import type {
  DesiredState, JobEvent, JobPatch, JobRecord, JobState, JobTotals, PageRecord, Priority, RetryFilter,
} from '../contracts/job.ts';
import type { DocumentFilter, DocumentPatch, DocumentRecord, DocumentWriter, Passage } from '../contracts/document.ts';
import type { IntentRecord, IntentState, OpenIntents } from '../contracts/intent.ts';
import type { JobRef } from '../contracts/messages.ts';
import type { BatchRecord, BatchTotals, BulkRecord, PlanKind, PlanRecord, PlanRecords } from '../contracts/plans.ts';
import type { QueueEntry, QueueLimits, QueueRequest, QueueStanding } from '../contracts/queue.ts';
import type { SearchFilter, SearchTerms } from '../contracts/search.ts';
import type { SourceRecord, VersionRecord } from '../contracts/source.ts';
import type { Analytics, AnalyticsFilter, JobSummary } from '../contracts/summary.ts';
import type { CleanupReport, Sweep, WorkerRecord } from '../contracts/system.ts';
import type { DeliveryRecord } from '../contracts/webhooks.ts';
import type { UploadPart, UploadPatch, UploadRecord, UploadState } from '../contracts/upload.ts';

/** The ledger that an item belongs to. */
export interface LaneRef {
  tenant: string;
  source: string;
  lane: string;
}

/** What the ledger knows of a row: the latest truth. */
export interface Item extends Spent {
  key: string;
  row: number;
  inputHash: string;
  handlerHash: string;
  state: 'done' | 'failed';
  output: Json;
  error: RowFailure | null;
  job: string;
  attempt: number;
}

export interface ItemWrite extends Item {
  input: RowInput;
  /** Normalised by `domain/search-text.ts`; indexed for full text. */
  text: string;
  /** How often the handler was called for the row in this job's attempt. */
  tries: number;
  latencyMs: number;
}

export interface FailedRow {
  row: number;
  key: string | null;
  error: RowFailure;
  input: RowInput;
}

/** By one of them, or none. */
export type FailedRowFilter = { code: string } | { fingerprint: string } | Record<never, never>;

/** One sub-batch of a page, committed as one: the ledger and the list of failed rows agree. */
export interface RowsCommit {
  lane: LaneRef;
  job: string;
  /** The job's; kept with the items, for search. */
  tags: string[];
  /** See `domain/fence.ts`. An item with a higher fence is left as it is. */
  fence: bigint;
  items: ItemWrite[];
  failed: FailedRow[];
  /** Rows that no longer belong to the failed ones. */
  cleared: number[];
}

export interface ItemHit extends Item {
  kind: 'item';
  source: string;
  lane: string;
  input: RowInput;
  /** Of the job that wrote it last. */
  tags: string[];
  /** ISO 8601: when it was written last. */
  updatedAt: string;
}

export interface PassageHit {
  kind: 'passage';
  document: string;
  /** `document:<key>`. */
  source: string;
  /** Of its set. */
  lane: string;
  /** Its number. */
  key: string;
  job: string;
  passage: Passage;
  fileName: string;
  title: string | null;
  tags: string[];
  updatedAt: string;
}

export type SearchHit = ItemHit | PassageHit;

/** The passages that one try at indexing a version of a document writes: all of them become visible at once, or none. */
export interface PassageSet {
  tenant: string;
  documentKey: string;
  document: string;
  version: number;
  /** The lane's at the job's admission; a new one for every try. */
  generation: number;
}

export interface PassagesWrite {
  set: PassageSet;
  job: string;
  tags: string[];
  fileName: string;
  title: string | null;
  /** `text` is normalised by `domain/search-text.ts`. */
  passages: (Passage & { words: string })[];
}

export interface StoredPassages {
  documentKey: string;
  document: string;
  generation: number;
  passages: number;
  published: boolean;
}

export interface DocumentUsage {
  documents: number;
  bytes: number;
}

export interface PageCountsWrite extends PageRecord {
  fence: bigint;
}

export interface JobFilter {
  state?: JobState[];
  kind?: string;
  source?: string;
  tag?: string;
  batch?: string;
}

export interface Listed<T> {
  items: T[];
  /** Opaque; null at the end. */
  nextCursor: string | null;
}

export interface ListPage {
  cursor?: string;
  limit: number;
}

/** A desired change by the API: compare-and-set on `revision`. */
export interface JobChange {
  desired?: DesiredState | null;
  priority?: Priority;
  concurrency?: number | null;
  /** Of a sheet's job, in the currency of the price table. */
  maxCost?: number;
}

export interface JobCount {
  tenant: string;
  state: JobState;
  jobs: number;
}

/** What a sweep removes: everything older than `before` (ISO 8601), from `cursor` on. `dryRun`: it is only counted. */
export interface SweepAsked {
  before: string;
  cursor: string | null;
  dryRun: boolean;
}

/** Documents and their passages; part of every store. */
export interface DocumentStore {
  // ── documents ─────────────────────────────────────────────────────────────────────────────────────────────
  /** Writes the record with the next version of its key; where there is one with this id, answers it as it is. */
  createDocument(document: DocumentRecord): Promise<{ document: DocumentRecord; created: boolean }>;
  getDocument(tenant: string, id: string): Promise<DocumentRecord | null>;
  /** Newest first. Rejects with `invalid_cursor`. */
  listDocuments(tenant: string, filter: DocumentFilter, page: ListPage): Promise<Listed<DocumentRecord>>;
  /** Writes where the writer's mark is not below the record's (`domain/document-record.ts`). False when it is, or there is no record. */
  advanceDocument(tenant: string, id: string, by: DocumentWriter, patch: DocumentPatch): Promise<boolean>;
  /** Ready documents that share one of the bands, newest first, at most `limit`. */
  findSimilar(tenant: string, bands: string[], limit: number): Promise<Pick<DocumentRecord, 'id' | 'similarity' | 'documentKey'>[]>;
  /** Of the tenant's documents, failed ones too. */
  documentUsage(tenant: string): Promise<DocumentUsage>;
  /** Removes passages of every generation, and then the record, in bounded steps; false while there is more to do. */
  removeDocument(tenant: string, id: string): Promise<boolean>;

  // ── passages ──────────────────────────────────────────────────────────────────────────────────────────────
  /** In bulk, by number. Nobody sees them before `publishPassages`. Rejects with `store_refused` where one is never taken. */
  writePassages(write: PassagesWrite): Promise<void>;
  /** From now on search finds this set's passages, and none other of the document's key, in one step. False, and nothing changes,
   *  where a newer version or generation is published. */
  publishPassages(set: PassageSet): Promise<boolean>;
  /** Of the document's published set, ascending by number; empty where it has none. Rejects with `invalid_cursor`. */
  listPassages(tenant: string, document: string, page: ListPage): Promise<Listed<Passage>>;
  /** Removes the passages of the key's sets that are neither published nor `keep`, in bounded steps; false while there is more to do. */
  removeStalePassages(tenant: string, documentKey: string, keep: PassageSet | null): Promise<boolean>;
  /** What passages there are, published or not: for whoever checks that records and passages agree. At most 10,000 sets. */
  listPassageSets(tenant: string): Promise<StoredPassages[]>;
}

/** Documents that arrive in parts; part of every store. */
export interface UploadStore {
  // ── uploads ───────────────────────────────────────────────────────────────────────────────────────────────
  /** Where there is one with this id, answers it as it is. */
  createUpload(upload: UploadRecord): Promise<{ upload: UploadRecord; created: boolean }>;
  getUpload(tenant: string, id: string): Promise<UploadRecord | null>;
  /** Those that take parts or are being completed, newest first. Rejects with `invalid_cursor`. */
  listUploads(tenant: string, filter: { owner?: string }, page: ListPage): Promise<Listed<UploadRecord>>;
  /** Bytes that the tenant's uploads which take parts or are being completed have announced. */
  uploadUsage(tenant: string): Promise<number>;
  /** Null, and nothing is written, where it is in none of the states or not there. */
  changeUpload(tenant: string, id: string, from: readonly UploadState[], patch: UploadPatch): Promise<UploadRecord | null>;
  /** Writes the part down, with the upload's counts, unless it has one of this number: then answers that one. Null: it takes no parts. */
  addUploadPart(tenant: string, id: string, part: UploadPart): Promise<{ part: UploadPart; upload: UploadRecord } | null>;
  getUploadPart(tenant: string, id: string, number: number): Promise<UploadPart | null>;
  /** Ascending by number. */
  uploadParts(tenant: string, id: string): Promise<UploadPart[]>;
  /** Forgets exactly these, so that they may be sent again; one that has been replaced since stays. */
  dropUploadParts(tenant: string, id: string, parts: readonly UploadPart[]): Promise<void>;
  /** Of every tenant, in any state, that expire before that time (ISO 8601). */
  expiredUploads(before: string, page: ListPage): Promise<Listed<UploadRecord>>;
  /** The record and its parts. Not there is no error. */
  removeUpload(tenant: string, id: string): Promise<void>;
}

/** Sources that keep themselves in sync; part of every store. */
export interface SourceStore {
  // ── sources and their versions ────────────────────────────────────────────────────────────────────────────
  /** Where there is one with this id, writes nothing and answers it as it is. */
  createSource(source: SourceRecord): Promise<{ source: SourceRecord; created: boolean }>;
  getSource(tenant: string, id: string): Promise<SourceRecord | null>;
  /** By id. Rejects with `invalid_cursor`. */
  listSources(tenant: string, page: ListPage): Promise<Listed<SourceRecord>>;
  /** Writes where the stored revision is the record's, and raises it; null where it is another, or the record is gone. */
  changeSource(source: SourceRecord): Promise<SourceRecord | null>;
  /** Its items, versions and then the record, in bounded steps; false while there is more to do. Its lanes keep their generations. */
  removeSource(tenant: string, id: string): Promise<boolean>;
  /** Replaces what is there. */
  writeVersion(version: VersionRecord): Promise<void>;
  getVersion(tenant: string, source: string, sequence: number): Promise<VersionRecord | null>;
  /** Newest first. Rejects with `invalid_cursor`. */
  listVersions(tenant: string, source: string, page: ListPage): Promise<Listed<VersionRecord>>;
  removeVersion(tenant: string, source: string, sequence: number): Promise<void>;
  /** From now on search does not find these items, until a job writes them again, or `showItems`. `wipe`: their content goes, so that the
   *  ledger knows nothing of the rows. An item with a higher fence stays as it is; one that is not there is no error. */
  hideItems(lane: LaneRef, fence: bigint, keys: string[], wipe: boolean): Promise<void>;
  /** Those that are hidden and not wiped are found again. */
  showItems(lane: LaneRef, fence: bigint, keys: string[]): Promise<void>;
}

/** Calls to services that answer later, one an item; part of every store. */
export interface IntentStore {
  // ── intents ───────────────────────────────────────────────────────────────────────────────────────────────
  /** By item key; those that are not there are left out. */
  readIntents(lane: LaneRef, keys: string[]): Promise<Map<string, IntentRecord>>;
  /** By `intentId`. */
  getIntent(tenant: string, id: string): Promise<IntentRecord | null>;
  /** Writes where the stored revision is the record's (0: there is none), and raises it; null where it is another. */
  changeIntent(intent: IntentRecord): Promise<IntentRecord | null>;
  /** Ascending by page and row. Rejects with `invalid_cursor`. */
  listIntents(tenant: string, job: string, filter: { state: IntentState; page?: number }, page: ListPage): Promise<Listed<IntentRecord>>;
  openIntents(tenant: string, job: string): Promise<OpenIntents>;
}

/** Answers that were paid for; part of every store. They stay when their job or source goes. */
export interface AnswerStore {
  // ── answers ───────────────────────────────────────────────────────────────────────────────────────────────
  /** Those of the tenant's that are there, by key; at most 1,000 keys. */
  readAnswers(tenant: string, keys: string[]): Promise<ReadonlyMap<string, AnswerRecord>>;
  /** Replaces the one of this key. */
  writeAnswer(tenant: string, answer: AnswerRecord): Promise<void>;
  /** Those that were written before. Counted by answer. */
  sweepAnswers(asked: SweepAsked): Promise<Sweep>;
}

/** What may be spent; part of every store. */
export interface BudgetStore {
  // ── budgets ───────────────────────────────────────────────────────────────────────────────────────────────
  /** Tells of the tenant's budget of this name and asks for more, in one step over all processes (`domain/budget.ts`). */
  changeBudget(tenant: string, name: string, change: BudgetChange): Promise<BudgetAnswer>;
}

/** What was told of jobs; part of every store. It goes with the job. */
export interface DeliveryStore {
  // ── deliveries of webhooks ────────────────────────────────────────────────────────────────────────────────
  /** Replaces the one of this job, endpoint and number. */
  writeDelivery(record: DeliveryRecord): Promise<void>;
  getDelivery(tenant: string, job: string, endpoint: string, number: number): Promise<DeliveryRecord | null>;
  /** The one with the highest number. */
  lastDelivery(tenant: string, job: string, endpoint: string): Promise<DeliveryRecord | null>;
  /** By endpoint, then ascending by number. Rejects with `invalid_cursor`. */
  listDeliveries(tenant: string, job: string, page: ListPage): Promise<Listed<DeliveryRecord>>;
}

export interface Store extends DeliveryStore, DocumentStore, UploadStore, SourceStore, AnswerStore, BudgetStore, IntentStore {
  // ── jobs ──────────────────────────────────────────────────────────────────────────────────────────────────
  /** Creates the record, and claims the idempotency key with it, in one transaction. With a key that is taken,
   *  writes nothing and answers the job that took it; rejects with `idempotency_conflict` where its request hash differs. */
  createJob(job: JobRecord, idempotency?: { key: string; requestHash: string }): Promise<{ job: JobRecord; created: boolean }>;
  getJob(tenant: string, id: string): Promise<JobRecord | null>;
  /** Newest first. Rejects with `invalid_cursor`. */
  listJobs(tenant: string, filter: JobFilter, page: ListPage): Promise<Listed<JobRecord>>;
  /** Null when the record's revision is not the expected one (read it again and decide anew). */
  changeJob(tenant: string, id: string, revision: number, change: JobChange): Promise<JobRecord | null>;
  /** From ended back to `queued` with attempt + 1, sequence 0, `desired` null, no error, cause or end; null when the revision differs.
   *  Rejects with `wrong_state` where the job has not ended or is to be deleted. */
  requeueJob(tenant: string, id: string, revision: number, retry: RetryFilter): Promise<JobRecord | null>;
  /** Writes where (attempt, sequence) is above the record's; false when it is not, or there is no record. */
  advanceJob(tenant: string, id: string, at: { attempt: number; sequence: number }, patch: JobPatch): Promise<boolean>;
  /** Jobs of every tenant that are not ended, or whose deletion was asked for: the reconciler's list. `resting` ones wait for their turn
   *  or another job, and nothing was asked of them; there may be thousands. The rest are `active`. */
  openJobs(page: ListPage, which?: 'active' | 'resting'): Promise<Listed<JobRecord>>;
  /** Removes the record and all that only the job owns in the store (pages, failed rows, events, idempotency key;
   *  for a source `job:<id>` its items too), in bounded steps; false while there is more to do. */
  removeJob(tenant: string, id: string): Promise<boolean>;

  // ── lanes: one job at a time per source and lane ──────────────────────────────────────────────────────────
  /** Takes the lane for the job, raising its generation; asked again by the same job and attempt, the same
   *  generation. `leaveQueue` gives it back. */
  acquireLane(lane: LaneRef, job: string, attempt: number): Promise<{ granted: boolean; generation: number; holder: string }>;

  // ── the queue: entries of jobs that wait for a place or have one ─────────────────────────────────────────
  /** Puts the attempt in, in place of an earlier one. One that is there already is brought up to date: it waits again after a pause
   *  with the `since` that it had, and what was offered is running. Null: the job has ended, is gone, or is another attempt's. `now` in
   *  milliseconds, here and below. */
  enqueue(request: QueueRequest, now: number): Promise<QueueEntry | null>;
  /** Gives all free places to those whose turn it is, with their lanes; one whose lane is held becomes `blocked` and costs no place.
   *  Answers who got one: the job that asks as `running`, others as `offered`. Asked by many at once, no limit is exceeded. */
  admitNext(limits: QueueLimits, now: number, asking?: JobRef): Promise<QueueEntry[]>;
  /** The job gives its place back and is not considered until it is enqueued again. It keeps its lane. */
  pauseTurn(at: JobRef & { attempt: number; sequence: number }, now: number): Promise<void>;
  /** Removes the entry, up to that attempt, and frees the lane that it held. Answers the job that was blocked by it and waits now. */
  leaveQueue(lane: LaneRef, jobId: string, attempt: number, now: number): Promise<QueueEntry | null>;
  /** Null: the job is not in the queue. */
  queueEntry(tenant: string, jobId: string): Promise<QueueEntry | null>;
  /** The same with what is before it, which is counted. */
  queueStanding(tenant: string, jobId: string, limits: QueueLimits, now: number): Promise<QueueStanding | null>;
  /** The entries of every tenant that have a place. Places that a crash left to nobody are given back. */
  placesTaken(now: number): Promise<QueueEntry[]>;

  // ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────
  readItems(lane: LaneRef, keys: string[]): Promise<Map<string, Item>>;
  /** Answers the rows that the store will never take as they are (too large, for one), by number: they are written down as
   *  failed with that error, without content, and are the caller's to count as such. */
  commitRows(commit: RowsCommit): Promise<ReadonlyMap<number, RowFailure>>;
  /** Items whose `text`, split at spaces, has the terms; words of a phrase are neighbours in it. Best match first, then those written
   *  last, then in an order that stays; over 10,000 matches an adapter may rank by what is cheaper. While nothing is written,
   *  pages neither repeat nor lose a hit. Removed items never appear. Rejects with `invalid_cursor`. */
  search(tenant: string, query: { terms: SearchTerms; filter: SearchFilter }, page: ListPage): Promise<Listed<SearchHit>>;
  /** Ascending by row. Rejects with `invalid_cursor`. */
  listFailedRows(tenant: string, job: string, filter: FailedRowFilter, page: ListPage): Promise<Listed<FailedRow>>;
  countFailedRows(tenant: string, job: string): Promise<{ code: string; rows: number }[]>;
  /** By what their failures have in common (`domain/fingerprint.ts`), the largest first, at most `limit` groups. `first`: the lowest row. */
  groupFailedRows(tenant: string, job: string, limit: number): Promise<{ fingerprint: string; rows: number; first: number }[]>;

  // ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────
  /** One record a page: a write with a lower fence than the record's changes nothing and answers false. A null `result`
   *  keeps the result that is there. */
  writePage(tenant: string, job: string, page: PageCountsWrite): Promise<boolean>;
  /** Ascending by page number. */
  listPages(tenant: string, job: string, page: ListPage): Promise<Listed<PageRecord>>;
  getPage(tenant: string, job: string, page: number): Promise<PageRecord | null>;
  /** Sums over all pages; `tried` and `faults` only over pages of the given attempt. */
  jobTotals(tenant: string, job: string, attempt: number): Promise<JobTotals>;

  // ── events ────────────────────────────────────────────────────────────────────────────────────────────────
  /** `dedupe` makes a repeated append harmless. Keeps the newest 1,000 of a job. */
  appendEvent(tenant: string, job: string, event: Omit<JobEvent, 'seq'> & { dedupe: string }): Promise<void>;
  listEvents(tenant: string, job: string, page: ListPage): Promise<Listed<JobEvent>>;

  // ── plans: schedules, batches, actions on many jobs, and what jobs depend on ──────────────────────────────
  /** Where the id is taken, writes nothing and answers what is there; rejects with `idempotency_conflict` where that has another request hash. */
  createPlan<Kind extends PlanKind>(record: PlanRecords[Kind]): Promise<{ record: PlanRecords[Kind]; created: boolean }>;
  getPlan<Kind extends PlanKind>(tenant: string, kind: Kind, id: string): Promise<PlanRecords[Kind] | null>;
  /** Newest first. Rejects with `invalid_cursor`. */
  listPlans<Kind extends PlanKind>(tenant: string, kind: Kind, page: ListPage): Promise<Listed<PlanRecords[Kind]>>;
  /** Writes where the stored revision is the record's, and raises it; null where it is another, or the record is gone. */
  changePlan<Kind extends PlanKind>(record: PlanRecords[Kind]): Promise<PlanRecords[Kind] | null>;
  removePlan(tenant: string, kind: PlanKind, id: string): Promise<void>;
  /** `open` plans of every tenant: the reconciler's list. */
  openPlans(page: ListPage): Promise<Listed<PlanRecord>>;
  /** Jobs that depend on a job, also on one that is gone; in no order that means anything. Rejects with `invalid_cursor`. */
  listDependents(tenant: string, job: string, page: ListPage): Promise<Listed<JobRecord>>;
  batchTotals(tenant: string, batch: string): Promise<BatchTotals>;

  // ── figures: over all jobs, open and ended ────────────────────────────────────────────────────────────────
  /** Of all tenants. */
  countJobs(): Promise<JobCount[]>;
  /** Of all tenants; the oldest first. */
  jobsIn(states: JobState[], limit: number): Promise<JobRecord[]>;
  /** By handlers for the job's rows, over all pages. */
  jobSpent(tenant: string, job: string): Promise<Spent>;
  /** Replaces the job's, unless that is of a later (attempt, sequence). It stays when the job is removed. */
  writeSummary(summary: JobSummary): Promise<void>;
  /** Over the jobs that ended in a time; `tenant` null: of all tenants. Percentiles may be off by 2 %. */
  analyse(tenant: string | null, filter: AnalyticsFilter): Promise<Analytics>;

  // ── workers: of no tenant ─────────────────────────────────────────────────────────────────────────────────
  writeWorker(worker: WorkerRecord): Promise<void>;
  listWorkers(): Promise<WorkerRecord[]>;
  removeWorker(id: string): Promise<void>;

  // ── cleanup: of all tenants, in bounded steps that may be repeated ────────────────────────────────────────
  /** Jobs that ended before, in an order of the store's own. Rejects with `invalid_cursor`. */
  endedJobs(before: string, page: ListPage): Promise<Listed<JobRecord>>;
  /** Events of jobs that ended before. Counted by event. */
  sweepEvents(asked: SweepAsked): Promise<Sweep>;
  /** Outputs of items that were written last before, and whose job has ended. The items stay, with all that decides
   *  whether a row is handled again; their text is of the input alone. Counted by item. */
  sweepOutputs(asked: SweepAsked): Promise<Sweep>;
  sweepSummaries(asked: SweepAsked): Promise<Sweep>;
  /** Batches and actions on many jobs that were made before and are not `open`, in an order of the store's own. Rejects with `invalid_cursor`. */
  closedPlans(before: string, page: ListPage): Promise<Listed<BatchRecord | BulkRecord>>;
  /** Writes the report unless one with as many steps is there. The newest 100 are kept. */
  writeCleanup(report: CleanupReport): Promise<void>;
  getCleanup(id: string): Promise<CleanupReport | null>;
  /** The newest first; at most 100. */
  listCleanups(): Promise<CleanupReport[]>;
  /** All that have a job, a document or a source, in the order of their names. */
  tenants(): Promise<string[]>;

  // ── the store itself ──────────────────────────────────────────────────────────────────────────────────────
  /** Resolves when the store can be read and written. */
  check(): Promise<void>;
  close(): Promise<void>;
}

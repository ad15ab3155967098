/**
 * Takes a document through its stages. The record is the ledger: a stage that stands in it is done and is not done again; its
 * result lies in the blobs under a name of this try's own, and is written before the record points at it.
 */
import { cancelled, Context, heartbeat } from '@temporalio/activity';
import { DOCUMENT_STAGES, type DocumentPatch, type DocumentRecord, type DocumentStage } from '../contracts/document.ts';
import { SheafError } from '../contracts/errors.ts';
import type { DocumentJobRecord } from '../contracts/job.ts';
import type { JobRef } from '../contracts/messages.ts';
import type { DocumentActivities, ProcessDocumentInput } from '../contracts/document-messages.ts';
import { documentOf } from '../domain/document-record.ts';
import type { ActivityDeps } from './deps.ts';
import { openDocumentFolder, type DocumentFolder } from './document-folder.ts';
import { STAGE_WORK, wipePassword, type StageContext } from './document-stages.ts';
import { loadJob } from './rows.ts';

/** A pause or cancel arrives with a heartbeat's answer. */
const HEARTBEAT_MS = 500;
/** How often a stage that counts writes how far it is. */
const PROGRESS_MS = 500;
/** More tries of one dispatch than any retry policy allows. */
const TRIES = 256;

type WorkingStage = Exclude<DocumentStage, 'upload'>;
const STAGES = DOCUMENT_STAGES.filter((stage): stage is WorkingStage => stage !== 'upload');

export async function loadDocumentJob(deps: ActivityDeps, ref: JobRef): Promise<DocumentJobRecord> {
  const job = await loadJob(deps, ref);
  if (job.kind !== 'document') throw new SheafError('wrong_state', `Job ${job.id} is over a sheet.`);
  return job;
}

/** The document's record; made where whoever created the job was killed before. */
export async function documentOfJob({ store }: ActivityDeps, job: DocumentJobRecord): Promise<DocumentRecord> {
  return (await store.getDocument(job.tenant, job.request.document)) ?? (await store.createDocument(documentOf(job))).document;
}

export function documentActivities(deps: ActivityDeps): DocumentActivities {
  return {
    async processDocument(input) {
      const job = await loadDocumentJob(deps, input);
      const stop = new AbortController();
      cancelled().catch(() => setTimeout(() => stop.abort(new Error('The drain limit has passed.')), job.request.drainSeconds * 1_000).unref());
      const folder = await openDocumentFolder(deps.blobs, stop.signal);
      const run = new DocumentRun(deps, job, await documentOfJob(deps, job), input, folder, stop.signal);
      const pulse = setInterval(() => heartbeat({ stage: run.document.stage, percent: run.document.stagePercent }), HEARTBEAT_MS);
      try {
        return { done: await run.toTheEnd() };
      } finally {
        clearInterval(pulse);
        await folder.remove();
      }
    },
  };
}

class DocumentRun {
  document: DocumentRecord;
  readonly #deps: ActivityDeps;
  readonly #job: DocumentJobRecord;
  readonly #input: ProcessDocumentInput;
  readonly #folder: DocumentFolder;
  readonly #stop: AbortSignal;
  readonly #by: { attempt: number; dispatch: number };
  #toldAt = 0;

  constructor(deps: ActivityDeps, job: DocumentJobRecord, document: DocumentRecord, input: ProcessDocumentInput, folder: DocumentFolder, stop: AbortSignal) {
    this.#deps = deps;
    this.#job = job;
    this.document = document;
    this.#input = input;
    this.#folder = folder;
    this.#stop = stop;
    this.#by = { attempt: input.attempt, dispatch: input.dispatch * TRIES + Context.current().info.attempt };
  }

  /** False: interrupted between two stages. */
  async toTheEnd(): Promise<boolean> {
    await this.#begin();
    for (const [index, stage] of STAGES.entries()) {
      if (this.document.stages[stage]) continue;
      if (Context.current().cancellationSignal.aborted) return false;
      await this.#run(stage, STAGES[index + 1] ?? stage);
    }
    return true;
  }

  /** The first work of an attempt forgets the stages that it was asked to do again; that of a generation writes all passages anew. */
  async #begin(): Promise<void> {
    const { document } = this;
    const { generation } = this.#input;
    const isFirst = document.attempt < this.#by.attempt || document.dispatch === 0;
    const asked = isFirst ? this.#job.retry?.reprocess : undefined;
    const from = Math.min(
      asked?.from ? DOCUMENT_STAGES.indexOf(asked.from) : asked?.options ? DOCUMENT_STAGES.indexOf('chunking') : DOCUMENT_STAGES.length,
      document.generation === generation ? DOCUMENT_STAGES.length : DOCUMENT_STAGES.indexOf('indexing'),
    );
    const kept = Object.fromEntries(Object.entries(document.stages).filter(([stage]) => DOCUMENT_STAGES.indexOf(stage as DocumentStage) < from));
    await this.#write({
      stages: kept, stage: STAGES.find((stage) => !(stage in kept)) ?? 'completion', stagePercent: 0,
      ...(document.startedAt === null && { startedAt: new Date().toISOString() }),
      ...(document.generation !== generation && { generation, counts: { ...document.counts, indexed: 0 } }),
      ...(isFirst && { workedMs: 0 }),
      ...(asked?.options && { options: asked.options }),
    });
  }

  async #run(stage: WorkingStage, next: DocumentStage): Promise<void> {
    const startedAt = performance.now();
    const left = this.#deps.documents.limitMs - this.document.workedMs;
    // Not AbortSignal.timeout: thousands of documents an hour would each leave a timer behind.
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Error('The document took too long.')), Math.max(1, left));
    const signal = AbortSignal.any([this.#stop, limit.signal]);
    const worked = (): number => this.document.workedMs + Math.round(performance.now() - startedAt);
    let made: DocumentPatch;
    try {
      made = await STAGE_WORK[stage](this.#context(signal));
    } catch (error) {
      if (limit.signal.aborted && !this.#stop.aborted) throw this.#tooLong();
      await this.#write({ workedMs: worked() });
      throw error;
    } finally {
      clearTimeout(timer);
    }
    await this.#write({
      ...made, stage: next, stagePercent: next === stage ? 100 : 0, workedMs: worked(),
      stages: { ...this.document.stages, [stage]: { completedAt: new Date().toISOString(), milliseconds: Math.round(performance.now() - startedAt) } },
    });
    if (stage === 'extraction') await wipePassword(this.#deps, this.document);
  }

  #context(signal: AbortSignal): StageContext {
    const { store, blobs, documents } = this.#deps;
    return {
      store, blobs, signal, folder: this.#folder, ...documents, document: this.document, job: this.#job, generation: this.#input.generation, by: this.#by,
      write: (patch) => this.#write(patch),
      progress: async (patch) => {
        if (performance.now() - this.#toldAt < PROGRESS_MS) return;
        await this.#write(patch);
        this.#toldAt = performance.now();
      },
    };
  }

  async #write(patch: DocumentPatch): Promise<void> {
    const { tenant, id } = this.document;
    if (!(await this.#deps.store.advanceDocument(tenant, id, this.#by, patch))) {
      throw new SheafError('wrong_state', `Document ${id} was deleted, or a newer try has taken it over.`);
    }
    this.document = { ...this.document, ...patch };
  }

  #tooLong(): SheafError {
    const minutes = Math.round(this.#deps.documents.limitMs / 60_000);
    return new SheafError('document_timeout', `The document took longer than the ${minutes} minutes that one may take.`, { remedy: 'Split it into smaller files, or leave out OCR.' });
  }
}

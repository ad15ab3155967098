/** Several files: all are uploaded, then one batch makes documents of them, and says what came of each. */
import type { DocumentStatusAnswer, ProcessingOptions, UploadOptions } from '../client/index.ts';
import type { Priority } from '../contracts/job.ts';
import type { BatchAnswer, BatchFileAnswer } from '../contracts/plans-api.ts';
import { followBatch } from './batch.ts';
import { listUpTo, refuse } from './client.ts';
import type { Context } from './context.ts';
import { CommandFailure, type Problem } from './failure.ts';
import { count, isolate, printable } from './format.ts';
import type { Style, Terminal } from './terminal.ts';
import { UploadBar } from './upload-bar.ts';

/** Files on their way at once; each large one has several parts on its way. */
const FILES_AT_ONCE = 4;
const MOST_NAME = 200;

export interface FileToUpload {
  file: string;
  /** Bytes. */
  size: number;
}

export interface AskedUpload {
  wait?: boolean;
  type?: string;
  tag?: string[];
  priority?: Priority;
  force?: boolean;
  concurrency?: number;
  processingOptions: ProcessingOptions | undefined;
}

type Outcome = 'uploaded' | 'duplicate' | 'ready' | 'failed';

export interface FileOutcome {
  file: string;
  outcome: Outcome;
  document?: string;
  job?: string;
  chunks?: number;
  error?: Problem;
}

const STYLES: Record<Outcome, Style> = { uploaded: 'green', ready: 'green', duplicate: 'cyan', failed: 'red' };

export const askedOf = ({ type, tag, priority, force, concurrency, processingOptions }: AskedUpload): UploadOptions =>
  ({ documentType: type, tags: tag, priority, force, concurrency, processingOptions });

/** What did not arrive is no part of the batch, and has its outcome all the same. Null: nothing arrived. */
export async function uploadBatch(context: Context, files: FileToUpload[], options: AskedUpload & { name: string }): Promise<{ batch: string | null; outcomes: FileOutcome[] }> {
  const { client, terminal, signal } = context;
  const { uploads, failed } = await stageAll(context, files, options);
  if (signal.aborted) return { batch: null, outcomes: failed };
  if (uploads.length === 0) {
    if (!terminal.json) printTotals(terminal, null, failed);
    return { batch: null, outcomes: failed };
  }
  const { id } = await client.call<BatchAnswer>('POST', '/batches', { body: { name: options.name.slice(0, MOST_NAME), files: uploads.map(({ upload }) => ({ upload })) }, signal });
  if (options.wait === true) await followBatch(context, id);
  const now = await listUpTo<BatchFileAnswer>(client, `/batches/${id}/files`, uploads.length, {});
  const outcomes: FileOutcome[] = [];
  for (const one of now.items) {
    const { file } = uploads[one.number - 1]!;
    const outcome = fileOutcome(file, one);
    // A document that was there before belongs to no batch that could be waited for.
    const waits = options.wait === true && one.outcome === 'duplicate' && one.document !== undefined && !signal.aborted;
    outcomes.push(waits ? { ...outcome, ...(await outcomeOf(context, one.document!)) } : outcome);
    if (!terminal.json) printOutcome(terminal, outcomes.at(-1)!, false);
  }
  const all = [...failed, ...outcomes].sort((left, right) => (left.file < right.file ? -1 : 1));
  if (!terminal.json) printTotals(terminal, id, all);
  return { batch: id, outcomes: all };
}

async function stageAll({ sheaf, terminal, signal }: Context, files: FileToUpload[], options: AskedUpload): Promise<{ uploads: { file: string; upload: string }[]; failed: FileOutcome[] }> {
  const bar = new UploadBar(terminal, files);
  const active = await sheaf.activeUploads(signal).catch(refuse);
  const uploads = new Map<string, string>();
  const failed: FileOutcome[] = [];
  const queue = [...files];
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined && !signal.aborted; next = queue.shift()) {
      const { file } = next;
      try {
        uploads.set(file, await sheaf.stageDocument(file, { ...askedOf(options), signal, onProgress: (progress) => bar.progress(file, progress) }, active).catch(refuse));
      } catch (error) {
        if (signal.aborted) return;
        const outcome: FileOutcome = { file, outcome: 'failed', error: problemOf(error, file) };
        failed.push(outcome);
        if (!terminal.json) bar.aside(() => printOutcome(terminal, outcome, false));
      }
      bar.ended(file);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(FILES_AT_ONCE, files.length) }, work));
  } finally {
    bar.clear();
  }
  return { uploads: files.flatMap(({ file }) => (uploads.has(file) ? [{ file, upload: uploads.get(file)! }] : [])), failed };
}

function fileOutcome(file: string, { outcome, document, job, passages, error }: BatchFileAnswer): FileOutcome {
  const made = { file, ...(document !== undefined && { document }), ...(job !== undefined && { job }) };
  switch (outcome) {
    case 'ready': return { ...made, outcome, chunks: passages ?? 0 };
    case 'duplicate': return { ...made, outcome };
    case 'waiting': case 'processing': return { ...made, outcome: 'uploaded' };
    default: return { ...made, outcome: 'failed', error: shortened(error ?? { code: outcome, message: `The document was ${outcome}.` }) };
  }
}

/** Waits for the end of a document. */
export async function outcomeOf({ sheaf, signal }: Pick<Context, 'sheaf' | 'signal'>, document: string, onStatus?: (now: DocumentStatusAnswer) => void): Promise<Pick<FileOutcome, 'outcome' | 'chunks' | 'error'>> {
  const status = await sheaf.waitForDocument(document, { signal, onStatus }).catch(refuse);
  if (status.ready) return { outcome: 'ready', chunks: status.total_chunks };
  const { error } = await sheaf.document(document).catch(refuse);
  return { outcome: 'failed', error: shortened(error ?? { code: 'cancelled', message: status.message }) };
}

const shortened = ({ code, message, remedy }: { code: string; message: string; remedy?: string | undefined }): Problem => ({ code, message, ...(remedy !== undefined && { remedy }) });

export function problemOf(error: unknown, file: string): Problem {
  if (error instanceof CommandFailure) return error.problem;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall !== undefined) return { code: 'file_unreadable', message: `${file} cannot be read (${code}).` };
  throw error;
}

export function printOutcome(terminal: Terminal, { file, outcome, document, chunks, error }: FileOutcome, hint: boolean): void {
  const facts = [document, chunks === undefined ? undefined : `${count(chunks)} passage${chunks === 1 ? '' : 's'}`, error === undefined ? undefined : `${error.code}: ${printable(error.message)}`];
  terminal.print([terminal.paint(STYLES[outcome], outcome.padEnd(9)), isolate(printable(file)), ...facts.filter((fact) => fact !== undefined)].join('  '));
  if (error?.remedy !== undefined) terminal.note(`           ${printable(error.remedy)}`);
  if (hint && document !== undefined) terminal.note(`Follow it: npx sheaf doc status ${document} --wait`);
}

function printTotals(terminal: Terminal, batch: string | null, outcomes: FileOutcome[]): void {
  const totals = Map.groupBy(outcomes, ({ outcome }) => outcome);
  terminal.print([...totals].map(([outcome, all]) => `${terminal.paint(STYLES[outcome], outcome)} ${count(all.length)}`).join('  '));
  if (batch === null) return;
  if (totals.has('uploaded')) terminal.note(`Follow them: npx sheaf batch watch ${batch}`);
  if (totals.get('failed')?.some(({ document }) => document !== undefined)) terminal.note(`Try those again that reached the server: npx sheaf batch retry ${batch} --failed`);
}

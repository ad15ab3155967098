/** `sheaf doc upload`: files, and what is in folders, become documents; one bar, and an outcome a file. */
import { constants, promises as fs } from 'node:fs';
import path from 'node:path';
import { type Command, Option } from 'commander';
import type { AcceptedAnswer, DocumentStatusAnswer } from '../contracts/document-api.ts';
import { PRIORITIES, type Priority } from '../contracts/job.ts';
import type { ProcessingOptions, UploadProgress } from '../client/index.ts';
import { refuse } from './client.ts';
import { contextOf, type Context } from './context.ts';
import { CommandFailure, EXIT, wrongUsage, type Problem } from './failure.ts';
import { bytes, count, isolate, printable } from './format.ts';
import { atLeastOne, collect, collectOption } from './job-create.ts';
import { openPainter, paintLine, type Painter } from './progress-bar.ts';
import type { Style, Terminal } from './terminal.ts';

/** Files on their way at once; each large one has several parts on its way. */
const FILES_AT_ONCE = 4;
const PAINT_EVERY_MS = 100;
const BAR = 30;

interface UploadOptions {
  glob?: string;
  wait?: boolean;
  type?: string;
  key?: string;
  tag?: string[];
  priority?: Priority;
  force?: boolean;
  option?: Record<string, unknown>;
  passwordFile?: string;
  concurrency?: number;
}

type Outcome = 'uploaded' | 'duplicate' | 'ready' | 'failed';

interface FileOutcome {
  file: string;
  outcome: Outcome;
  document?: string;
  job?: string;
  chunks?: number;
  error?: Problem;
}

const STYLES: Record<Outcome, Style> = { uploaded: 'green', ready: 'green', duplicate: 'cyan', failed: 'red' };

export function addDocUpload(doc: Command): void {
  doc.command('upload <paths...>')
    .description('upload documents: files, and all files in folders; what was broken off goes on where it stopped')
    .option('--glob <pattern>', 'in folders, only files whose path matches: "**/*.pdf"')
    .option('--wait', 'wait until they are ready; exit code 1 unless all are')
    .option('--type <type>', 'what they are (pdf, docx, …); another content is reported')
    .option('--key <key>', 'names the document over its versions: a later upload with it takes its place')
    .option('--tag <tag>', 'to find them by (repeatable)', collect)
    .addOption(new Option('--priority <priority>', 'what is served first (default: normal)').choices([...PRIORITIES]))
    .option('--force', 'make documents also of files that were uploaded before')
    .option('--option <name=value>', 'of the processing: chunk_size, overlap, encoding, ocr, ocr_language (repeatable)', collectOption)
    .option('--password-file <file>', 'file with the password of encrypted documents')
    .option('--concurrency <n>', 'parts of a file on their way at once (default: 4)', atLeastOne)
    .addHelpText('after', `
Examples:
  npx sheaf doc upload handbook.pdf --wait
  npx sheaf doc upload reports --glob '**/*.{pdf,docx}' --tag 2026 --wait
Killed or cut off, the same command goes on with the parts that are missing.`)
    .action(async (paths: string[], options: UploadOptions, command: Command) => {
      const context = contextOf(command);
      const { terminal, signal } = context;
      const files = await filesOf(paths, options.glob);
      if (options.key !== undefined && files.length > 1) throw wrongUsage(`--key names one document, not ${files.length}.`, 'Upload one file, or leave it out.');
      const outcomes = await uploadAll(context, files, options);
      if (terminal.json) terminal.printJson({ files: outcomes });
      else if (outcomes.length > 1) printTotals(terminal, outcomes);
      if (signal.aborted) {
        terminal.note('Stopped. The same command goes on with what is missing.');
        process.exitCode = EXIT.interrupted;
      } else if (outcomes.some(({ outcome }) => outcome === 'failed')) process.exitCode = EXIT.failed;
    });
}

/** Files by name, and those in folders, in a settled order. Rejects with wrong usage where there are none. */
async function filesOf(paths: string[], glob = '**/*'): Promise<{ file: string; size: number }[]> {
  const found = new Map<string, number>();
  for (const given of paths) {
    const stat = await fs.stat(given).catch((error: NodeJS.ErrnoException) => {
      throw wrongUsage(error.code === 'ENOENT' ? `There is no file ${given}.` : `${given} cannot be read (${error.code}).`, `Looked for ${path.resolve(given)}.`);
    });
    if (!stat.isDirectory()) {
      if (!stat.isFile()) throw wrongUsage(`${given} is no file.`, 'A pipe cannot be uploaded: write it to a file first.');
      await fs.access(given, constants.R_OK).catch(() => { throw wrongUsage(`The file ${given} may not be read by this user.`); });
      found.set(given, stat.size);
      continue;
    }
    for await (const name of fs.glob(glob, { cwd: given })) {
      const file = path.join(given, name);
      const inside = await fs.stat(file);
      if (inside.isFile() && !path.basename(name).startsWith('.')) found.set(file, inside.size);
    }
  }
  if (found.size === 0) throw wrongUsage(`No file matches ${glob} in ${paths.join(', ')}.`);
  return [...found].map(([file, size]) => ({ file, size })).sort((left, right) => (left.file < right.file ? -1 : 1));
}

async function uploadAll(context: Context, files: { file: string; size: number }[], options: UploadOptions): Promise<FileOutcome[]> {
  const { terminal, signal } = context;
  const bar = new UploadBar(terminal, files);
  const outcomes: FileOutcome[] = [];
  const processingOptions = await optionsOf(options);
  const queue = [...files];
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined && !signal.aborted; next = queue.shift()) {
      const { file } = next;
      const outcome = await uploadOne(context, file, { ...options, processingOptions }, bar).catch((error: unknown): FileOutcome | null => {
        if (signal.aborted) return null;
        return { file, outcome: 'failed', error: problemOf(error, file) };
      });
      bar.ended(file);
      if (outcome === null) return;
      outcomes.push(outcome);
      if (!terminal.json) bar.aside(() => printOutcome(terminal, outcome, files.length === 1 && options.wait !== true));
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(FILES_AT_ONCE, files.length) }, work));
  } finally {
    bar.clear();
  }
  return outcomes.sort((left, right) => (left.file < right.file ? -1 : 1));
}

async function optionsOf({ option = {}, passwordFile }: UploadOptions): Promise<ProcessingOptions | undefined> {
  if (passwordFile === undefined) return Object.keys(option).length === 0 ? undefined : option;
  const password = await fs.readFile(passwordFile, 'utf8').catch(() => { throw wrongUsage(`The file ${passwordFile} cannot be read.`); });
  return { ...option, password: password.replace(/\r?\n$/, '') };
}

async function uploadOne({ sheaf, signal }: Context, file: string, options: UploadOptions & { processingOptions: ProcessingOptions | undefined }, bar: UploadBar): Promise<FileOutcome> {
  const { type, key, tag, priority, force, concurrency, processingOptions, wait } = options;
  const accepted: AcceptedAnswer = await sheaf.uploadDocument(file, {
    documentType: type, documentKey: key, tags: tag, priority, force, concurrency, processingOptions, signal, onProgress: (progress) => bar.progress(file, progress),
  }).catch(refuse);
  const made = { file, document: accepted.document_id, job: accepted.job_id };
  const outcome = accepted.duplicateOf === undefined ? 'uploaded' : 'duplicate';
  if (wait !== true) return { ...made, outcome };
  const status = await sheaf.waitForDocument(accepted.document_id, { signal, onStatus: (now) => bar.processing(file, now) }).catch(refuse);
  if (status.ready) return { ...made, outcome: 'ready', chunks: status.total_chunks };
  const { error } = await sheaf.document(accepted.document_id).catch(refuse);
  const { code = 'cancelled', message = status.message, remedy } = error ?? {};
  return { ...made, outcome: 'failed', error: { code, message, ...(remedy !== undefined && { remedy }) } };
}

function problemOf(error: unknown, file: string): Problem {
  if (error instanceof CommandFailure) return error.problem;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall !== undefined) return { code: 'file_unreadable', message: `${file} cannot be read (${code}).` };
  throw error;
}

function printOutcome(terminal: Terminal, { file, outcome, document, chunks, error }: FileOutcome, hint: boolean): void {
  const facts = [document, chunks === undefined ? undefined : `${count(chunks)} passage${chunks === 1 ? '' : 's'}`, error === undefined ? undefined : `${error.code}: ${printable(error.message)}`];
  terminal.print([terminal.paint(STYLES[outcome], outcome.padEnd(9)), isolate(printable(file)), ...facts.filter((fact) => fact !== undefined)].join('  '));
  if (error?.remedy !== undefined) terminal.note(`           ${printable(error.remedy)}`);
  if (hint && document !== undefined) terminal.note(`Follow it: npx sheaf doc status ${document} --wait`);
}

function printTotals(terminal: Terminal, outcomes: FileOutcome[]): void {
  const totals = Map.groupBy(outcomes, ({ outcome }) => outcome);
  terminal.print([...totals].map(([outcome, all]) => `${terminal.paint(STYLES[outcome], outcome)} ${count(all.length)}`).join('  '));
  const failed = totals.get('failed')?.flatMap(({ document }) => document ?? []) ?? [];
  if (failed.length > 0) terminal.note('Try those again that reached the server: npx sheaf doc reprocess --failed');
}

/** All files' bytes as one bar at the foot of the terminal; nothing where nobody looks. */
class UploadBar {
  readonly #terminal: Terminal;
  readonly #painter: Painter | null;
  readonly #total: number;
  readonly #files: number;
  /** Bytes sent of each file, and what it is at. */
  readonly #sent = new Map<string, { sent: number; size: number; doing: string }>();
  #done = 0;
  #paintedAt = 0;

  constructor(terminal: Terminal, files: { size: number }[]) {
    this.#terminal = terminal;
    this.#painter = !terminal.json && terminal.err.isTTY === true ? openPainter(terminal.err) : null;
    this.#files = files.length;
    this.#total = files.reduce((sum, { size }) => sum + size, 0);
  }

  progress(file: string, { phase, bytes: sent, total: size, resumed }: UploadProgress): void {
    const doing = { hashing: `reads it: ${bytes(sent)} of ${bytes(size)}`, uploading: `${bytes(sent)} of ${bytes(size)}${resumed > 0 ? `, ${bytes(resumed)} of them before` : ''}`, completing: 'the server checks it' }[phase];
    this.#set(file, { sent: phase === 'hashing' ? 0 : phase === 'completing' ? size : sent, size, doing });
  }

  processing(file: string, { progress, message }: DocumentStatusAnswer): void {
    const before = this.#sent.get(file);
    this.#set(file, { sent: before?.size ?? 0, size: before?.size ?? 0, doing: `${Math.floor(progress)} %  ${message}` });
  }

  ended(file: string): void {
    this.#done += 1;
    const before = this.#sent.get(file);
    if (before) this.#set(file, { ...before, sent: before.size, doing: '' });
  }

  /** Prints above the bar. */
  aside(print: () => void): void {
    this.#painter?.clear();
    print();
    this.#paintedAt = 0;
  }

  clear(): void {
    this.#painter?.clear();
  }

  #set(file: string, now: { sent: number; size: number; doing: string }): void {
    this.#sent.set(file, now);
    if (this.#painter === null || performance.now() - this.#paintedAt < PAINT_EVERY_MS) return;
    this.#paintedAt = performance.now();
    const width = Math.max(20, (this.#terminal.err.columns || 80) - 1);
    const sent = [...this.#sent.values()].reduce((sum, one) => sum + one.sent, 0);
    const share = this.#total === 0 ? 1 : Math.min(1, sent / this.#total);
    const filled = Math.floor(share * BAR);
    const files = this.#files === 1 ? '' : `  ${count(this.#done)} of ${count(this.#files)} files`;
    this.#painter.paint([
      paintLine([
        { text: 'uploads    ' }, { text: '█'.repeat(filled), style: 'cyan' }, { text: '░'.repeat(BAR - filled), style: 'dim' },
        { text: ` ${(share * 100).toFixed(1).padStart(5)} %`, style: 'bold' }, { text: `  ${bytes(sent)} of ${bytes(this.#total)}${files}` },
      ], width, this.#terminal.paintErr),
      ...[...this.#sent].filter(([, { doing }]) => doing !== '').slice(-FILES_AT_ONCE).map(([name, { doing }]) =>
        paintLine([{ text: `  ${isolate(printable(path.basename(name)))}  `, style: 'dim' }, { text: printable(doing), style: 'dim' }], width, this.#terminal.paintErr)),
    ]);
  }
}

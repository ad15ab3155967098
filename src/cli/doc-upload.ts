/** `sheaf doc upload`: files, and what is in folders, become documents; one bar, and an outcome a file. Several are a batch. */
import { constants, promises as fs } from 'node:fs';
import path from 'node:path';
import { type Command, Option } from 'commander';
import type { AcceptedAnswer } from '../contracts/document-api.ts';
import { PRIORITIES } from '../contracts/job.ts';
import type { ProcessingOptions } from '../client/index.ts';
import { refuse } from './client.ts';
import { contextOf, type Context } from './context.ts';
import { askedOf, type AskedUpload, type FileOutcome, type FileToUpload, outcomeOf, printOutcome, problemOf, uploadBatch } from './doc-upload-batch.ts';
import { EXIT, wrongUsage } from './failure.ts';
import { atLeastOne, collect, collectOption } from './job-create.ts';
import { UploadBar } from './upload-bar.ts';

interface UploadOptions extends Omit<AskedUpload, 'processingOptions'> {
  glob?: string;
  name?: string;
  key?: string;
  option?: Record<string, unknown>;
  passwordFile?: string;
}

export function addDocUpload(doc: Command): void {
  doc.command('upload <paths...>')
    .description('upload documents: files, and all files in folders; what was broken off goes on where it stopped')
    .option('--glob <pattern>', 'in folders, only files whose path matches: "**/*.pdf"')
    .option('--name <name>', 'what people call the batch of several files')
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
Killed or cut off, the same command goes on with the parts that are missing.
Several files are a batch: "sheaf batch show" has what came of each, "sheaf batch retry ID --failed" tries those again that failed.`)
    .action(async (paths: string[], options: UploadOptions, command: Command) => {
      const context = contextOf(command);
      const { terminal, signal } = context;
      const files = await filesOf(paths, options.glob);
      if (options.key !== undefined && files.length > 1) throw wrongUsage(`--key names one document, not ${files.length}.`, 'Upload one file, or leave it out.');
      const [file, ...more] = files;
      const processingOptions = await optionsOf(options);
      const { batch, outcomes } = file === undefined || more.length > 0
        ? await uploadBatch(context, files, { ...options, name: options.name ?? paths.join(', '), processingOptions })
        : { batch: null, outcomes: await uploadOne(context, file, { ...options, processingOptions }) };
      if (terminal.json) terminal.printJson({ ...(batch !== null && { batch }), files: outcomes });
      if (signal.aborted) {
        terminal.note('Stopped. The same command goes on with what is missing.');
        process.exitCode = EXIT.interrupted;
      } else if (outcomes.some(({ outcome }) => outcome === 'failed')) process.exitCode = EXIT.failed;
    });
}

/** Files by name, and those in folders, in a settled order. Rejects with wrong usage where there are none. */
async function filesOf(paths: string[], glob = '**/*'): Promise<FileToUpload[]> {
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

async function optionsOf({ option = {}, passwordFile }: UploadOptions): Promise<ProcessingOptions | undefined> {
  if (passwordFile === undefined) return Object.keys(option).length === 0 ? undefined : option;
  const password = await fs.readFile(passwordFile, 'utf8').catch(() => { throw wrongUsage(`The file ${passwordFile} cannot be read.`); });
  return { ...option, password: password.replace(/\r?\n$/, '') };
}

async function uploadOne(context: Context, { file, size }: FileToUpload, options: AskedUpload & { key?: string }): Promise<FileOutcome[]> {
  const { terminal, signal } = context;
  const bar = new UploadBar(terminal, [{ size }]);
  try {
    const outcome = await attempt(context, file, options, bar).catch((error: unknown): FileOutcome | null => {
      if (signal.aborted) return null;
      return { file, outcome: 'failed', error: problemOf(error, file) };
    });
    bar.clear();
    if (outcome === null) return [];
    if (!terminal.json) printOutcome(terminal, outcome, options.wait !== true);
    return [outcome];
  } finally {
    bar.clear();
  }
}

async function attempt({ sheaf, signal }: Context, file: string, options: AskedUpload & { key?: string }, bar: UploadBar): Promise<FileOutcome> {
  const accepted: AcceptedAnswer = await sheaf.uploadDocument(file, {
    ...askedOf(options), documentKey: options.key, signal, onProgress: (progress) => bar.progress(file, progress),
  }).catch(refuse);
  const made = { file, document: accepted.document_id, job: accepted.job_id };
  const outcome = accepted.duplicateOf === undefined ? 'uploaded' : 'duplicate';
  if (options.wait !== true) return { ...made, outcome };
  return { ...made, ...(await outcomeOf({ sheaf, signal }, accepted.document_id, (now) => bar.processing(file, now))) };
}

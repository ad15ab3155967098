/** `sheaf doc …`: its commands, and those that look at documents. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import type { DocumentAnswer, DocumentStatusAnswer } from '../contracts/document-api.ts';
import { REPROCESS_STAGES, type ReprocessStage } from '../contracts/document.ts';
import { listUpTo, refuse } from './client.ts';
import { contextOf, type Context } from './context.ts';
import { addCleanup } from './doc-cleanup.ts';
import { addDocUpload } from './doc-upload.ts';
import { EXIT, wrongUsage } from './failure.ts';
import { bytes, count, isolate, printable, when } from './format.ts';
import { atLeastOne, collectOption } from './job-create.ts';
import { addPassageSearch } from './search.ts';
import { printFacts, printTable } from './table.ts';
import type { Style, Terminal } from './terminal.ts';

export const docPath = (id: string, rest = ''): string => `/documents/${encodeURIComponent(id)}${rest}`;

const STATUSES = ['processing', 'ready', 'failed'];
const STATUS_STYLES: Record<DocumentStatusAnswer['status'], Style> = { processing: 'cyan', ready: 'green', failed: 'red' };

export function addDocCommands(program: Command): void {
  const doc = program.command('doc').description('documents: upload, follow, find and read them');
  addDocUpload(doc);
  addStatus(doc);
  addList(doc);
  addShow(doc);
  addText(doc);
  addPassageSearch(doc);
  addReprocess(doc);
  addDelete(doc);
  addCleanup(doc);
}

function addStatus(doc: Command): void {
  doc.command('status <id>')
    .description('how far a document is')
    .option('--wait', 'until it is ready; exit code 1 unless it is')
    .action(async (id: string, { wait = false }: { wait?: boolean }, command: Command) => {
      const { sheaf, terminal, signal } = contextOf(command);
      const status = wait
        ? await sheaf.waitForDocument(id, { signal, onStatus: (now) => { if (!terminal.json && now.status === 'processing') terminal.note(statusLine(terminal, now)); } }).catch(refuse)
        : await sheaf.documentStatus(id).catch(refuse);
      if (terminal.json) terminal.printJson(status);
      else terminal.print(statusLine(terminal, status));
      if (wait && !status.ready) process.exitCode = EXIT.failed;
    });
}

const statusLine = (terminal: Terminal, { status, progress, message }: DocumentStatusAnswer): string =>
  `${terminal.paint(STATUS_STYLES[status], status)}  ${Math.floor(progress)} %  ${printable(message)}`;

function addList(doc: Command): void {
  doc.command('list')
    .description('the newest documents first')
    .addOption(new Option('--status <status>', 'only documents that are').choices(STATUSES))
    .option('--type <type>', 'only documents of this type: pdf, docx, …')
    .option('--tag <tag>', 'only documents with this tag')
    .option('--key <key>', 'only versions of this document')
    .option('--since <time>', 'only documents uploaded on this day or at this time, or later')
    .option('--before <time>', 'only documents uploaded before this day or time')
    .option('--limit <n>', 'at most so many', atLeastOne, 20)
    .action(async ({ limit, key, ...query }: { limit: number; key?: string; [filter: string]: string | number | undefined }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const documents = await listUpTo<DocumentAnswer>(client, '/documents', limit, { query: { ...query, document_key: key }, signal });
      if (terminal.json) return terminal.printJson(documents);
      if (documents.items.length === 0) return terminal.note('No such documents. Upload one: npx sheaf doc upload FILE');
      printTable(
        terminal,
        [{ title: 'document' }, { title: 'status' }, { title: 'done', align: 'right' }, { title: 'type' }, { title: 'size', align: 'right' },
          { title: 'passages', align: 'right' }, { title: 'file', shrinks: true }, { title: 'uploaded' }],
        documents.items.map((one) => [
          one.document_id, one.status, `${Math.floor(one.progress)} %`, one.document_type ?? '', bytes(one.file_size), count(one.total_chunks), one.filename, when(one.created_at),
        ]),
      );
      if (documents.nextCursor !== null) terminal.note('There are more; --limit shows them.');
    });
}

function addShow(doc: Command): void {
  doc.command('show <id>')
    .description('everything about one document')
    .action(async (id: string, _options: object, command: Command) => {
      const { sheaf, terminal } = contextOf(command);
      const shown = await sheaf.document(id).catch(refuse);
      if (terminal.json) terminal.printJson(shown);
      else printDocument(terminal, shown);
    });
}

function printDocument(terminal: Terminal, document: DocumentAnswer): void {
  const { metadata, processing_options: options } = document;
  const facts = (...given: [name: string, value: number | null][]): string => given.filter(([, value]) => value !== null).map(([name, value]) => `${count(value ?? 0)} ${name}`).join(', ');
  printFacts(terminal, [
    ['document', document.document_id],
    ['file', `${document.filename}, ${bytes(document.file_size)}`],
    ['type', document.document_type],
    ['title', metadata.title],
    ['author', metadata.author],
    ['subject', metadata.subject],
    ['languages', metadata.languages.map(({ code, confidence }) => `${code} (${Math.round(confidence * 100)} %)`).join(', ')],
    ['keywords', metadata.keywords.join(', ')],
    ['content', facts(['pages', metadata.page_count], ['words', metadata.word_count], ['tokens', metadata.token_count], ['passages', metadata.chunk_count])],
    ['passages', `${count(options.chunk_size)} tokens, ${count(options.overlap)} of them repeated, ${options.encoding}`],
    ['version', document.document_key === document.document_id ? null : `${document.version} of ${document.document_key}`],
    ['like', document.similar_to.map((other) => `${other.document} (${Math.round(other.similarity * 100)} %)`).join(', ')],
    ['tags', document.tags.join(', ')],
    ['owner', document.owner === 'default' ? null : document.owner],
    ['job', document.job_id],
    ['attempt', count(document.task_info.attempt)],
    ['uploaded', when(document.created_at)],
    ['started', when(document.started_at)],
    ['ended', when(document.completed_at)],
  ]);
  for (const { code, message } of document.warnings) terminal.print(`${terminal.paint('yellow', code)}: ${printable(message)}`);
  terminal.print('');
  terminal.print(statusLine(terminal, document));
  if (document.error !== undefined) terminal.print(`${terminal.paint('red', document.error.code)}: ${printable(document.error.remedy ?? document.error.message)}`);
}

function addText(doc: Command): void {
  doc.command('text <id>')
    .description('the text of a document')
    .action(async (id: string, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const { body } = await client.open('GET', docPath(id, '/text'), { signal });
      if (body !== null) await pipeline(Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]), terminal.out, { end: false, signal });
    });
}

function addReprocess(doc: Command): void {
  doc.command('reprocess [ids...]')
    .description('do documents again without uploading them: from the stage that they stopped at, or from one on')
    .addOption(new Option('--from <stage>', 'from this stage on').choices([...REPROCESS_STAGES]))
    .option('--option <name=value>', 'in place of the options before: chunk_size, overlap, … (repeatable)', collectOption)
    .option('--failed', 'all documents that have failed')
    .option('--tag <tag>', 'with --failed: only those with this tag')
    .action(async (ids: string[], { from, option, failed = false, tag }: { from?: ReprocessStage; option?: object; failed?: boolean; tag?: string }, command: Command) => {
      const context = contextOf(command);
      if (failed === ids.length > 0) throw wrongUsage('Name documents, or give --failed.');
      const chosen = failed ? await failedOnes(context, tag) : ids;
      await eachOf(context, chosen, 'queued', (id) => context.client.call<DocumentAnswer>('POST', docPath(id, '/reprocess'), {
        body: { ...(from !== undefined && { from }), ...(option !== undefined && { options: option }) }, signal: context.signal,
      }));
    });
}

async function failedOnes({ client, signal }: Context, tag: string | undefined): Promise<string[]> {
  const { items } = await listUpTo<DocumentAnswer>(client, '/documents', Infinity, { query: { status: 'failed', tag }, signal });
  return items.map(({ document_id }) => document_id);
}

function addDelete(doc: Command): void {
  doc.command('delete <ids...>')
    .description('delete documents with all that was made of them')
    .action(async (ids: string[], _options: object, command: Command) => {
      const context = contextOf(command);
      await eachOf(context, ids, 'deleting', (id) => context.client.call<DocumentAnswer>('DELETE', docPath(id), { signal: context.signal }));
    });
}

/** One after the other; the first that is refused ends it. */
async function eachOf({ terminal }: Context, ids: string[], what: string, act: (id: string) => Promise<DocumentAnswer>): Promise<void> {
  const done: DocumentAnswer[] = [];
  for (const id of ids) {
    const document = await act(id);
    done.push(document);
    if (!terminal.json) terminal.print(`${what}  ${document.document_id}  ${isolate(printable(document.filename))}`);
  }
  if (terminal.json) terminal.printJson({ items: done });
  else if (done.length === 0) terminal.note('There are no such documents.');
}

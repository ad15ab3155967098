/** `sheaf batch …`: many jobs made of a list, of the tabs of a workbook or of uploaded files, and steered as one. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { JobAnswer } from '../contracts/job-api.ts';
import { CONTROLS } from '../contracts/messages.ts';
import type { BatchAnswer, BatchFileAnswer } from '../contracts/plans-api.ts';
import type { BatchControl } from '../contracts/plans.ts';
import { type Client, listUpTo } from './client.ts';
import { type Context, contextOf } from './context.ts';
import { EXIT, wrongUsage } from './failure.ts';
import { count, isolate, printable, when } from './format.ts';
import { atLeastOne, collect, type CreateOptions, jobOptions, jobRequest } from './job-create.ts';
import { barSpans, countSpans, openPainter, paintLine, stateStyle } from './progress-bar.ts';
import { withSheetFile, withSheetFiles } from './sheet-file.ts';
import { printFacts, printTable, type TableColumn } from './table.ts';
import type { Terminal } from './terminal.ts';

interface BatchOptions extends CreateOptions {
  name?: string;
  tabs?: boolean;
  tab?: string[];
  list?: string;
}

const batchPath = (id: string, rest = ''): string => `/batches/${encodeURIComponent(id)}${rest}`;
const POLL_MS = 1_000;
const ENDED = new Set<BatchAnswer['state']>(['completed', 'failed', 'cancelled']);

const CONTROL_TEXTS: Record<BatchControl, string> = {
  pause: 'start no further row of any of its jobs', resume: 'go on with its paused jobs',
  cancel: 'stop all its jobs for good; what is done is kept', retry: 'run again what failed or remained of its ended jobs',
};

export function addBatchCommands(program: Command): void {
  const batch = program.command('batch').description('many jobs as one: create, follow and steer batches');
  addCreate(batch);
  addList(batch);
  addShow(batch);
  batch.command('watch <id>')
    .description('follow a batch to its end')
    .addHelpText('after', '\nExit code 0 when every row of every job got through. Ctrl-C ends the watching, not the batch.')
    .action(async (id: string, _options: object, command: Command) => watchBatch(contextOf(command), id));
  for (const control of [...CONTROLS, 'retry'] as const) {
    const command = batch.command(`${control} <id>`).description(CONTROL_TEXTS[control]);
    if (control === 'retry') command.option('--failed', 'leave out jobs that were cancelled');
    command
      .action(async (id: string, { failed }: { failed?: boolean }, command: Command) => {
        const { client, terminal, signal } = contextOf(command);
        const now = await client.call<BatchAnswer>('POST', batchPath(id, `/${control}`), { signal, ...(failed === true && { body: { failed } }) });
        if (terminal.json) return terminal.printJson(now);
        terminal.print(stateLine(terminal, now));
        if (now.action?.state === 'running') terminal.note('Some jobs have not answered yet; it goes on by itself.');
      });
  }
}

function addCreate(batch: Command): void {
  jobOptions(batch.command('create [files...]'))
    .description('make a job of each sheet file, of each tab of a workbook, or of a list')
    .option('--name <name>', 'what people call it')
    .option('--tabs', 'one job for each visible tab of the workbook')
    .option('--tab <name>', 'one job for this tab of the workbook (repeatable)', collect)
    .option('--list <file>', 'JSON: an array of job requests, over the options given here')
    .option('--wait', 'watch the batch to its end')
    .addHelpText('after', `
Examples:
  npx sheaf batch create january.csv february.csv --key order_id --wait
  npx sheaf batch create report.xlsx --tabs --name report`)
    .action(async (files: string[], options: BatchOptions, command: Command) => {
      const context = contextOf(command);
      const { terminal } = context;
      const made = await createBatch(context, files, options);
      if (options.wait === true) return watchBatch(context, made.id);
      if (terminal.json) return terminal.printJson(made);
      terminal.print(made.id);
      terminal.note(`${count(made.size)} ${made.size === 1 ? 'job' : 'jobs'}. Follow them: npx sheaf batch watch ${made.id}`);
    });
}

/** The files, where there are some, go by path or upload, whichever the API takes. */
async function createBatch(context: Context, files: string[], options: BatchOptions): Promise<BatchAnswer> {
  const { name, tabs, tab, list, source: sourceId, idempotencyKey } = options;
  const defaults = jobRequest(options);
  const ask = (request: object): Promise<BatchAnswer> => context.client.call('POST', '/batches', {
    body: { ...(name !== undefined && { name }), ...request }, signal: context.signal,
    headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
  });
  if (list !== undefined) {
    if (files.length > 0) throw wrongUsage('Give files or --list, not both.');
    return ask({ defaults, jobs: await readList(list) });
  }
  if (tabs === true || tab !== undefined) {
    const [file, ...more] = files;
    if (file === undefined || more.length > 0) throw wrongUsage('Tabs are those of one workbook: give one file.');
    return withSheetFile(context, file, options, (source) => ask({ defaults: { ...defaults, source }, tabs: tab ?? 'all' }));
  }
  if (files.length === 0) throw wrongUsage('There is nothing to make jobs of.', 'Give sheet files, or --list FILE.');
  if (sourceId !== undefined && files.length > 1) throw wrongUsage('Several files cannot have one --source.');
  return withSheetFiles(context, files, options, (sources) => ask({ defaults, jobs: sources.map((source) => ({ source })) }));
}

async function readList(file: string): Promise<object[]> {
  const text = await readFile(path.resolve(file), 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw wrongUsage(`The file ${file} cannot be read (${error.code ?? 'error'}).`);
  });
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one))) return list as object[];
  } catch {
    // Said below, as for JSON of another shape.
  }
  throw wrongUsage(`${file} is no JSON array of objects.`, 'Each is a job request: {"source": {"path": …}, "handler": …}.');
}

function addList(batch: Command): void {
  batch.command('list')
    .description('the newest batches first')
    .option('--limit <n>', 'at most so many', atLeastOne, 20)
    .action(async ({ limit }: { limit: number }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const found = await listUpTo<BatchAnswer>(client, '/batches', limit, { signal });
      if (terminal.json) return terminal.printJson(found);
      if (found.items.length === 0) return terminal.note('No batches. Make one: npx sheaf batch create FILE FILE …');
      printTable(
        terminal,
        [{ title: 'batch' }, { title: 'name', shrinks: true }, { title: 'state' }, { title: 'jobs', align: 'right' }, { title: 'ended', align: 'right' },
          { title: 'rows', align: 'right' }, { title: 'failed', align: 'right' }, { title: 'created' }],
        found.items.map(({ id, name, state, size, progress, createdAt }) => [
          id, name ?? '', state, count(size), count(progress.ended), progress.total === null ? '' : count(progress.total), count(progress.failed), when(createdAt),
        ]),
      );
      if (found.nextCursor !== null) terminal.note('There are more; --limit shows them.');
    });
}

/** Jobs listed below a batch; `job list --batch` has all. */
const MOST_JOBS = 100;

function addShow(batch: Command): void {
  batch.command('show <id>')
    .description('a batch and its jobs, or what came of each of its files')
    .option('--outcome <outcome...>', 'only files that are waiting, processing, ready, failed, cancelled, duplicate, refused or deleted')
    .action(async (id: string, { outcome }: { outcome?: string[] }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const shown = await client.call<BatchAnswer>('GET', batchPath(id), { signal });
      const listed = shown.files === undefined ? await jobsOf(client, id, signal) : await filesOf(client, id, outcome, signal);
      if (terminal.json) return terminal.printJson({ ...shown, items: listed.items });
      const { action } = shown;
      printFacts(terminal, [
        ['batch', shown.id],
        ['name', shown.name],
        [shown.files === undefined ? 'jobs' : 'files', `${count(shown.made)} of ${count(shown.size)} made: ${membersText(shown)}`],
        ['created', when(shown.createdAt)],
        ['last asked', action === undefined ? null : `${action.action}: ${action.state}, ${count(action.counts.done)} done, ${count(action.counts.skipped)} skipped, ${count(action.counts.failed)} failed`],
      ]);
      terminal.print('');
      for (const line of progressLines(terminal, shown)) terminal.print(line);
      terminal.print('');
      printTable(terminal, listed.columns, listed.lines);
      if (listed.nextCursor !== null) terminal.note(`There are more: npx sheaf ${shown.files === undefined ? `job list --batch ${id}` : `batch show ${id} --outcome failed refused`}`);
    });
}

const membersText = ({ jobs, files }: BatchAnswer): string =>
  [...Object.entries(jobs), ...Object.entries(files ?? {}).filter(([, among]) => among > 0)].map(([state, among]) => `${among} ${state}`).join(', ');

interface Members {
  items: unknown[];
  nextCursor: string | null;
  columns: TableColumn[];
  lines: string[][];
}

async function jobsOf(client: Client, id: string, signal: AbortSignal): Promise<Members> {
  const { items, nextCursor } = await listUpTo<JobAnswer>(client, '/jobs', MOST_JOBS, { query: { batch: id }, signal });
  return {
    items, nextCursor,
    columns: [{ title: 'job' }, { title: 'state' }, { title: 'done', align: 'right' }, { title: 'rows', align: 'right' }, { title: 'failed', align: 'right' }, { title: 'file', shrinks: true }],
    lines: items.toReversed().map(({ id: job, state, progress, file }) => [
      job, state, progress.percent === null ? '' : `${Math.floor(progress.percent)} %`, progress.total === null ? '' : count(progress.total), count(progress.failed),
      file.sheet === undefined ? file.name : `${file.name}, ${file.sheet}`,
    ]),
  };
}

async function filesOf(client: Client, id: string, outcome: string[] | undefined, signal: AbortSignal): Promise<Members> {
  const { items, nextCursor } = await listUpTo<BatchFileAnswer>(client, batchPath(id, '/files'), MOST_JOBS, { query: { outcome: outcome?.join() }, signal });
  return {
    items, nextCursor,
    columns: [{ title: 'file', shrinks: true }, { title: 'outcome' }, { title: 'document' }, { title: 'passages', align: 'right' }, { title: 'why', shrinks: true }],
    lines: items.map((file) => [
      isolate(printable(file.file)), file.outcome, file.document ?? '', file.passages === undefined ? '' : count(file.passages),
      file.error === undefined ? (file.partial === true ? 'some of it could not be read' : '') : `${file.error.code}: ${printable(file.error.message)}`,
    ]),
  };
}

const stateLine = (terminal: Terminal, { id, state, size, progress, files }: BatchAnswer): string =>
  `${id}  ${terminal.paint(stateStyle(state === 'creating' ? 'queued' : state), state)}  ${count(progress.ended)} of ${count(size)} ${files === undefined ? 'jobs' : 'files'} ended`;

/** Jobs or files that ended as a bar, then rows. */
function progressLines(terminal: Terminal, batch: BatchAnswer): string[] {
  const { progress, size } = batch;
  const width = terminal.width() ?? 80;
  const bar = barSpans({ ...progress, total: size, done: progress.ended, unchanged: 0, skipped: 0, failed: 0, stage: 'rows', itemsPerSecond: null, etaSeconds: null }, Math.min(40, Math.max(10, width - 60)));
  return [
    paintLine([...bar, { text: `  ${stateLine(terminal, batch)}` }], null, terminal.paint),
    ...(batch.files !== undefined ? [] : [paintLine([{ text: progress.total === null ? 'rows  ' : `${count(progress.total)} rows  ` }, ...countSpans({ ...progress, stage: 'rows', itemsPerSecond: null, etaSeconds: null })], null, terminal.paint)]),
  ];
}

async function watchBatch(context: Context, id: string): Promise<void> {
  const { terminal } = context;
  let last = '';
  const batch = await followBatch(context, id, (now) => {
    const line = terminal.json ? JSON.stringify(now) : stateLine(terminal, now);
    if ((terminal.json || terminal.width() === null) && line !== last) terminal.print(line);
    last = line;
  });
  if (batch === null) {
    terminal.note('Stopped watching; the batch goes on.');
    process.exitCode = EXIT.interrupted;
    return;
  }
  if (!terminal.json) for (const text of progressLines(terminal, batch)) terminal.print(text);
  if (batch.progress.failed > 0) terminal.note(`Try them again: npx sheaf batch retry ${id}`);
  process.exitCode = batch.state === 'completed' && batch.progress.failed === 0 ? EXIT.ok : EXIT.failed;
}

/** Shows how far it is until it ends, and answers it as it is then; null: Ctrl-C. */
export async function followBatch({ client, terminal, signal }: Context, id: string, said: (batch: BatchAnswer) => void = () => {}): Promise<BatchAnswer | null> {
  const painter = terminal.json || terminal.width() === null ? null : openPainter(terminal.out);
  while (!signal.aborted) {
    const batch = await client.call<BatchAnswer>('GET', batchPath(id), { signal });
    said(batch);
    if (ENDED.has(batch.state)) {
      painter?.clear();
      return batch;
    }
    painter?.paint(progressLines(terminal, batch));
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  painter?.clear();
  return null;
}

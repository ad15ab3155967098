/** `sheaf sync process|status|report`: runs of sources, as tasks. A task is a job; its id is the job's. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { JobAnswer } from '../contracts/job-api.ts';
import { isEnded } from '../contracts/job.ts';
import type { Context } from './context.ts';
import { EXIT, wrongUsage } from './failure.ts';
import { count, duration, printable, when } from './format.ts';
import { atLeastOne } from './job-create.ts';
import { jobPath } from './job-arguments.ts';
import { chosen, inPool, problemOf, sourcePath, syncContext, type SyncOptions } from './sync-context.ts';
import type { ListedSource } from './sync-file.ts';
import { printTable } from './table.ts';

/** How many at once are asked about. */
const AT_ONCE = 8;
const POLL_MS = 1_000;
/** Tasks of a source that `status` shows. */
const TASKS_SHOWN = 5;

type TaskState = 'pending' | 'processing' | 'completed' | 'failed';

interface Task {
  source_id: string;
  task_id: string | null;
  status: TaskState;
  /** The job's own state, where that says more: `paused`, `waiting`, `cancelled`. */
  state: JobAnswer['state'] | null;
  created_at: string | null;
  started_at: string | null;
  completed_at: string | null;
  /** Seconds. */
  processing_time: number | null;
  error: string | null;
  result: { rows: number | null; done: number; unchanged: number; failed: number; skipped: number } | null;
}

function statusOf({ state, cause }: JobAnswer): TaskState {
  if (state === 'completed') return 'completed';
  if (isEnded(state)) return 'failed';
  return state === 'queued' || (state === 'waiting' && cause === 'dependency') ? 'pending' : 'processing';
}

export function taskOf(job: JobAnswer): Task {
  const { progress, startedAt, completedAt } = job;
  return {
    source_id: job.source, task_id: job.id, status: statusOf(job), state: job.state, created_at: job.createdAt, started_at: startedAt, completed_at: completedAt,
    processing_time: startedAt !== null && completedAt !== null ? (Date.parse(completedAt) - Date.parse(startedAt)) / 1000 : null,
    error: job.error?.message ?? (job.state === 'cancelled' ? 'It was cancelled.' : (job.reason ?? null)),
    result: isEnded(job.state) ? { rows: progress.total, done: progress.done, unchanged: progress.unchanged, failed: progress.failed, skipped: progress.skipped } : null,
  };
}

const nothingYet = (source: string, error: string | null = null): Task => ({
  source_id: source, task_id: null, status: error === null ? 'pending' : 'failed', state: null, created_at: null, started_at: null, completed_at: null, processing_time: null, error, result: null,
});

/** Until it has ended, or waits for what only a person gives. Why it waits is said as it changes. */
async function endOf({ client, terminal, signal }: Context, id: string): Promise<Task> {
  for (let said: string | undefined; ;) {
    const job = await client.call<JobAnswer>('GET', jobPath(id), { signal });
    if (isEnded(job.state)) return taskOf(job);
    if (job.reason !== undefined && job.reason !== said) terminal.note(`${job.source}: ${said = job.reason}`);
    if (job.cause === 'approval') return taskOf(job);
    await sleep(POLL_MS, undefined, { signal });
  }
}

async function newest({ client, signal }: Context, source: string, limit: number): Promise<Task[]> {
  const { items } = await client.call<{ items: JobAnswer[] }>('GET', '/jobs', { query: { source, limit }, signal });
  return items.map(taskOf);
}

export function addSyncRuns(sync: Command): void {
  addProcess(sync);
  addStatus(sync);
  addReport(sync);
}

interface ProcessOptions extends SyncOptions {
  sourceIds?: string[];
  tags?: string[];
  maxWorkers: number;
  force?: boolean;
  wait?: boolean;
  verbose?: boolean;
}

function addProcess(sync: Command): void {
  sync.command('process <file>')
    .description('fetch the enabled sources of the file now, and process what has changed')
    .option('--source-ids <ids...>', 'only these, also where they are not enabled')
    .option('--tags <tags...>', 'only those with one of these tags')
    .option('--environment <name>', 'of the environments that the file names')
    .option('--max-workers <n>', 'so many sources at once', atLeastOne, 3)
    .option('--force', 'handle rows again that are done')
    .option('--wait', 'wait for all of them, but for an approval; without it for those with fetch_strategy: sync')
    .option('--verbose', 'say what happens')
    .action(async (file: string, options: ProcessOptions, command: Command) => {
      const { context, sources } = await syncContext(command, file, options);
      const { terminal } = context;
      const wanted = chosen(sources, options);
      if (wanted.length === 0) throw wrongUsage('No source of the file matches.', 'Sources with enabled: false are processed only where --source-ids names them.');
      const tasks = await processAll(context, wanted, options);
      if (terminal.json) terminal.printJson({ tasks });
      else printTasks(context, tasks);
      if (tasks.some(({ status }) => status === 'failed')) process.exitCode = EXIT.failed;
      else if (tasks.some(({ status }) => status !== 'completed')) {
        terminal.note(`Follow them: npx sheaf sync status ${file}`);
        if (options.wait) process.exitCode = EXIT.failed;
      }
    });
}

/** N lines of tasks: in the background each begins when the one before it in its line has ended, whatever came of that. */
function processAll(context: Context, sources: ListedSource[], { maxWorkers, force = false, wait = false, verbose = false }: ProcessOptions): Promise<Task[]> {
  const { client, terminal, signal } = context;
  const say = (text: string): void => { if (verbose) terminal.note(text); };
  const lines = Array.from({ length: maxWorkers }, (): string[] => []);
  return inPool(sources, maxWorkers, async (source, index): Promise<Task> => {
    const line = lines[index % maxWorkers]!;
    try {
      await client.call('PUT', sourcePath(source.id), { body: source.body, signal });
      const waits = wait || source.fetch === 'sync';
      const after = waits || line.length === 0 ? [] : [line.at(-1)!];
      const job = await client.call<JobAnswer>('POST', sourcePath(source.id, '/sync'), { body: { force, after }, signal });
      say(`${source.id}: ${job.id} ${job.state}`);
      if (!waits) {
        line.push(job.id);
        return taskOf(job);
      }
      const ended = await endOf(context, job.id);
      say(`${source.id}: ${ended.status}`);
      return ended;
    } catch (error) {
      return nothingYet(source.id, problemOf(error).message);
    }
  });
}

const STYLES = { pending: 'dim', processing: 'cyan', completed: 'green', failed: 'red' } as const;

function printTasks({ terminal }: Context, tasks: Task[]): void {
  printTable(
    terminal,
    [{ title: 'source' }, { title: 'task' }, { title: 'status' }, { title: 'created' }, { title: 'started' }, { title: 'completed' }, { title: 'rows', align: 'right' }, { title: 'failed', align: 'right' }, { title: 'error', shrinks: true }],
    tasks.map(({ source_id, task_id, status, state, created_at, started_at, completed_at, result, error }) => [
      source_id, task_id ?? '', state === null || state === status || state === 'running' || state === 'queued' ? status : `${status} (${state})`,
      when(created_at), when(started_at), when(completed_at), result?.rows == null ? '' : count(result.rows), result === null ? '' : count(result.failed), error ?? '',
    ]),
  );
}

function addStatus(sync: Command): void {
  sync.command('status <file>')
    .description('the newest tasks of the sources')
    .option('--task-id <id>', 'only this one')
    .option('--source-id <id>', 'only those of this source')
    .option('--environment <name>', 'of the environments that the file names')
    .action(async (file: string, options: SyncOptions & { taskId?: string; sourceId?: string }, command: Command) => {
      const { context, sources } = await syncContext(command, file, options);
      const { client, terminal, signal } = context;
      const wanted = chosen(sources, { sourceIds: options.sourceId === undefined ? undefined : [options.sourceId], all: true });
      const tasks = options.taskId === undefined
        ? (await inPool(wanted, AT_ONCE, ({ id }) => newest(context, id, options.sourceId === undefined ? 1 : TASKS_SHOWN))).flat()
        : [taskOf(await client.call<JobAnswer>('GET', jobPath(options.taskId), { signal }))];
      if (terminal.json) return terminal.printJson({ tasks });
      if (tasks.length === 0) return terminal.note(`No tasks yet. Start them: npx sheaf sync process ${file}`);
      printTasks(context, tasks);
    });
}

interface Report {
  timestamp: string;
  total_sources: number;
  successful: number;
  failed: number;
  pending: number;
  /** Seconds, over all of them. */
  processing_time: number;
  details: Task[];
}

function addReport(sync: Command): void {
  sync.command('report <file>')
    .description('what came of the newest task of each source; exit code 1 when one failed')
    .option('--tags <tags...>', 'only sources with one of these tags')
    .option('--environment <name>', 'of the environments that the file names')
    .option('--wait', 'until none is pending')
    .addOption(new Option('--format <format>', 'default: a table; with --json, JSON').choices(['table', 'json', 'markdown']))
    .action(async (file: string, options: SyncOptions & { tags?: string[]; wait?: boolean; format?: string }, command: Command) => {
      const { context, sources } = await syncContext(command, file, options);
      const { terminal } = context;
      const details = await inPool(chosen(sources, options), AT_ONCE, async ({ id }) => {
        const [task] = await newest(context, id, 1);
        if (!task) return nothingYet(id);
        return options.wait && task.task_id !== null ? endOf(context, task.task_id) : task;
      });
      const of = (...states: TaskState[]): number => details.filter(({ status }) => states.includes(status)).length;
      const report: Report = {
        timestamp: new Date().toISOString(), total_sources: details.length, successful: of('completed'), failed: of('failed'), pending: of('pending', 'processing'),
        processing_time: details.reduce((sum, { processing_time }) => sum + (processing_time ?? 0), 0), details,
      };
      if (terminal.json || options.format === 'json') terminal.printJson(report);
      else if (options.format === 'markdown') for (const line of markdown(report)) terminal.print(line);
      else printReport(context, report);
      if (report.failed > 0) process.exitCode = EXIT.failed;
    });
}

function printReport(context: Context, report: Report): void {
  const { terminal } = context;
  printTasks(context, report.details);
  terminal.print('');
  terminal.print(`${report.total_sources} sources: ${terminal.paint(STYLES.completed, `${report.successful} successful`)}, ${terminal.paint(report.failed > 0 ? STYLES.failed : 'dim', `${report.failed} failed`)}, ${report.pending} pending; ${duration(report.processing_time)} of processing`);
}

function markdown(report: Report): string[] {
  const cell = (text: string): string => printable(text).replaceAll('|', '\\|');
  return [
    '# Sync report', '', `${report.timestamp}: ${report.total_sources} sources, ${report.successful} successful, ${report.failed} failed, ${report.pending} pending; ${duration(report.processing_time)} of processing.`, '',
    '| source | status | rows | failed | time | task | error |', '|---|---|--:|--:|--:|---|---|',
    ...report.details.map(({ source_id, status, result, processing_time, task_id, error }) =>
      `| ${cell(source_id)} | ${status} | ${result?.rows ?? ''} | ${result?.failed ?? ''} | ${processing_time === null ? '' : duration(processing_time)} | ${task_id ?? ''} | ${cell(error ?? '')} |`),
  ];
}

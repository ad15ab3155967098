/** `sheaf start`: the embedded stack in the foreground, with a first job where one is asked for. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { ItemAnswer } from '../contracts/items-api.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Stack } from '../embedded/stack.ts';
import type { StackFile } from '../embedded/stack-file.ts';
import { listUpTo } from './client.ts';
import { clientsOf, type Context, contextOf } from './context.ts';
import { CommandFailure, EXIT, wrongUsage } from './failure.ts';
import { count, when } from './format.ts';
import { type CreateOptions, createJob, jobOptions } from './job-create.ts';
import { printItems } from './job.ts';
import { jobPath } from './job-arguments.ts';
import { printFacts } from './table.ts';
import { printOutcome, succeeded, watchJob } from './watch.ts';

interface StartOptions extends CreateOptions {
  sample?: boolean;
  once?: boolean;
  store?: string;
  blobs?: string;
}

/** For whom the first job is. */
interface Identity {
  tenant?: string | undefined;
  owner?: string | undefined;
}

interface StartContext extends Context {
  identity: Identity;
}

interface FirstJob {
  file: string;
  options: CreateOptions;
}

const SAMPLE: FirstJob = {
  file: fileURLToPath(new URL('../../samples/support-tickets.csv', import.meta.url)),
  options: {
    handler: 'categorize',
    key: ['ticket'],
    breaker: true,
    tag: ['sample'],
    option: {
      columns: { subject: 2, message: 1 },
      categories: {
        billing: ['invoice', 'refund', 'charged', 'payment', 'receipt', 'price', 'subscription', 'billed', 'חשבונית'],
        bug: ['crash', 'crashes', 'error', 'bug', 'broken', 'fails', 'blank', 'slow', 'twice'],
        account: ['sign in', 'password', 'account', 'locked', 'invite', 'login'],
        wish: ['feature request', 'please add', 'would be great', 'would be nice', 'would love', 'plan an'],
        praise: ['thank you', 'love', 'great', 'amazing'],
      },
      default: 'other',
    },
  },
};
/** Rows of the first job that are shown. */
const ROWS_SHOWN = 5;
/** Signals closer together than this are one Ctrl-C: npm and the terminal both send it. */
const ONE_KEYSTROKE_MS = 1_000;

export function addStart(program: Command): void {
  jobOptions(program.command('start [file]'))
    .description('run all of Sheaf here: Temporal server, worker and API, and a first job where a sheet file is given')
    .option('--sample', 'without a file, the first job is the sample sheet')
    .option('--once', "end with the first job; its outcome is the exit code")
    .option('--store <kind>', 'where records live: sqlite, or the elasticsearch that the environment names')
    .option('--blobs <kind>', 'where files live: filesystem, or the s3 that the environment names')
    .addHelpText('after', '\nStays up until Ctrl-C, which lets rows in flight finish; Ctrl-C again stops at once.')
    .action(async (file: string | undefined, options: StartOptions, command: Command) => {
      // The processes of the stack read their environment, as they would anywhere else.
      if (options.store !== undefined) process.env['SHEAF_STORE'] = options.store;
      if (options.blobs !== undefined) process.env['SHEAF_BLOBS'] = options.blobs;
      const job = file !== undefined ? { file, options } : options.sample === true ? SAMPLE : null;
      if (options.once === true && job === null) throw wrongUsage('--once needs a first job.', 'Give a sheet file, or --sample.');
      const { tenant, owner } = command.optsWithGlobals<Identity>();
      await start({ ...contextOf(command), identity: { tenant, owner } }, job, options.once === true);
    });
}

async function start(context: StartContext, job: FirstJob | null, once: boolean): Promise<void> {
  // Here, because it brings the Temporal client along, which no other command needs.
  const { AlreadyRunning, startStack } = await import('../embedded/stack.ts');
  const { terminal, config } = context;
  const { stop, kill } = stopRequests();
  const stopped = new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }));
  // A line in the middle of the live display would tear it, so it waits until the job has ended.
  let held: string[] | null = null;
  const say = (line: string): void => void (held === null ? terminal.note(line) : held.push(line));
  let stack: Stack;
  try {
    terminal.note('Starting …');
    stack = await startStack(config, { say, stop, kill });
  } catch (error) {
    if (error instanceof AlreadyRunning) return meetOther(context, error.other, job === SAMPLE && !once ? null : job);
    process.exitCode = stop.aborted ? EXIT.interrupted : EXIT.failed;
    return terminal.note(error === stop.reason ? 'Stopped.' : messageOf(error));
  }
  try {
    printAddresses(context, stack);
    if (job !== null) {
      if (terminal.width() !== null) held = [];
      const outcome = await Promise.race([runJob({ ...context, signal: stop }, stack.api, job), stack.ended.then(() => null)])
        .finally(() => {
          held?.forEach(terminal.note);
          held = null;
        });
      if (once) process.exitCode = outcome ?? EXIT.interrupted;
    }
    if (!once && !stop.aborted) {
      if (job !== null) printAddresses(context, stack);
      terminal.note('Ctrl-C stops everything.');
      await Promise.race([stack.ended, stopped]);
    }
  } catch (error) {
    if (error instanceof CommandFailure && !stop.aborted) throw error;
    process.exitCode = EXIT.failed;
    terminal.note(messageOf(error));
  } finally {
    terminal.note(stop.aborted ? 'Stopping; rows in flight are let finish. Ctrl-C again stops at once.' : 'Stopping …');
    await stack.stop();
    terminal.note('Stopped.');
  }
}

/** Resolves with the exit code that the outcome stands for; null when the watching was interrupted. */
async function runJob({ identity, ...context }: StartContext, api: string, { file, options }: FirstJob): Promise<number | null> {
  const { terminal, signal } = context;
  const clients = clientsOf({ url: api, ...identity });
  const { client } = clients;
  const created = await createJob({ ...context, ...clients }, file, options);
  const job = await watchJob(client, created.id, terminal, { title: `${path.basename(file)}  ${created.handler}  ${created.id}`, signal });
  if (job === null) {
    terminal.note(`The job ${created.id} goes on as soon as the stack runs again.`);
    return null;
  }
  if (!terminal.json) {
    printOutcome(terminal, job);
    const { items } = await listUpTo<ItemAnswer>(client, jobPath(job.id, '/items'), ROWS_SHOWN, { signal });
    if (items.length > 0) {
      terminal.print('');
      printItems(terminal, items);
      const more = (job.progress.total ?? 0) - items.length;
      if (more > 0) terminal.print(`… and ${count(more)} more rows`);
    }
    terminal.print('');
    terminal.print(`Results: ${api}/api/v1${jobPath(job.id, '/results?format=csv')}  (ndjson, csv or xlsx)`);
    terminal.print(`or:      npx sheaf job results ${job.id} --output results.csv`);
    terminal.print('');
  }
  return succeeded(job) ? EXIT.ok : EXIT.failed;
}

/** Somebody runs a stack in this folder: a job that was asked for goes there; without one there is nothing to do. */
async function meetOther(context: StartContext, other: StackFile | null, job: FirstJob | null): Promise<void> {
  const { terminal, config } = context;
  if (other === null || other.api === null) {
    process.exitCode = EXIT.failed;
    return terminal.note(`Another process is starting or stopping Sheaf in ${config.SHEAF_HOME}. Try again in a moment.`);
  }
  terminal.note(`Sheaf runs in ${config.SHEAF_HOME} already: process ${other.pid}, started ${when(other.startedAt)}.`);
  printAddresses(context, { api: other.api, temporal: other.temporal, ui: other.ui });
  terminal.note('Stop it with Ctrl-C where it runs. For another stack beside it, set SHEAF_HOME to another folder.');
  if (job !== null) {
    terminal.note('The job runs there.');
    process.exitCode = (await runJob(context, other.api, job)) ?? EXIT.interrupted;
  }
}

function printAddresses({ terminal, config }: Context, { api, temporal, ui }: Pick<Stack, 'api' | 'temporal' | 'ui'>): void {
  if (terminal.json) return terminal.print(JSON.stringify({ api, docs: `${api}/docs`, temporal, ui, home: config.SHEAF_HOME }));
  printFacts(terminal, [
    ['API', `${api}/api/v1`],
    ['API docs', `${api}/docs`],
    ['Temporal', temporal],
    ['Temporal Web UI', ui],
    ['Elasticsearch', config.SHEAF_STORE === 'elasticsearch' ? config.ELASTICSEARCH_URL?.join(', ') ?? 'Elastic Cloud' : null],
    ['S3 bucket', config.SHEAF_BLOBS === 's3' ? config.S3_BUCKET : null],
    ['data and logs', config.SHEAF_HOME],
  ]);
}

/** `stop` at the first Ctrl-C (or SIGTERM, a closed terminal, a parent that is gone), `kill` at the next. */
function stopRequests(): { stop: AbortSignal; kill: AbortSignal } {
  const stop = new AbortController();
  const kill = new AbortController();
  let askedAt = 0;
  const ask = (): void => {
    if (!stop.signal.aborted) {
      askedAt = performance.now();
      stop.abort();
    } else if (performance.now() - askedAt > ONE_KEYSTROKE_MS) {
      kill.abort();
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  process.once('disconnect', ask);
  // Nobody reads any more: the terminal was closed, or what the output was piped into. Not a reason to fall over.
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error').on('error', () => stop.abort());
  // Listening for it would keep this process alive.
  process.channel?.unref();
  return { stop: stop.signal, kill: kill.signal };
}

function messageOf(error: unknown): string {
  if (error instanceof SheafError && error.remedy !== undefined) return `${error.message}\n${error.remedy}`;
  return error instanceof Error ? error.message : String(error);
}

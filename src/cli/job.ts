/** `sheaf job …`: its commands, and those that look at jobs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { EventAnswer, JobAnswer } from '../contracts/job-api.ts';
import type { ItemAnswer } from '../contracts/items-api.ts';
import type { JobGraphAnswer } from '../contracts/plans-api.ts';
import { isEnded, JOB_STATES } from '../contracts/job.ts';
import { listUpTo, refuse, type Client } from './client.ts';
import { contextOf } from './context.ts';
import { treeLines } from './dependency-tree.ts';
import { count, timeOfDay, when, printable } from './format.ts';
import { collectState, jobPath } from './job-arguments.ts';
import { addJobBulk } from './job-bulk.ts';
import { addJobCreate, addJobPreview, atLeastOne } from './job-create.ts';
import { addJobDeliveries } from './job-deliveries.ts';
import { addJobPlan } from './job-plan.ts';
import { addJobItem } from './job-item.ts';
import { addJobResults } from './job-results.ts';
import { addJobSteering } from './job-steer.ts';
import { printWarnings } from './preview.ts';
import { printFacts, printTable } from './table.ts';
import type { Terminal } from './terminal.ts';
import { printOutcome, watchToEnd } from './watch.ts';

export function addJobCommands(program: Command): void {
  const job = program.command('job').description('run sheets: create, follow and steer jobs');
  addJobPreview(job);
  addJobPlan(job);
  addJobCreate(job);
  addList(job);
  addShow(job);
  addWatch(job);
  addJobSteering(job);
  addJobBulk(job);
  addJobResults(job);
  addItems(job);
  addJobItem(job);
  addErrors(job);
  addJobDeliveries(job);
  addEvents(job);
}

function addList(job: Command): void {
  job.command('list')
    .description('the newest jobs first')
    .addOption(new Option('--state <state>', `only jobs in this state (repeatable): ${JOB_STATES.join(', ')}`).argParser(collectState))
    .option('--source <id>', 'only jobs on this source')
    .option('--tag <tag>', 'only jobs with this tag')
    .option('--batch <id>', 'only jobs of this batch')
    .option('--limit <n>', 'at most so many', atLeastOne, 20)
    .action(async ({ limit, ...query }: { state?: string[]; source?: string; tag?: string; batch?: string; limit: number }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const jobs = await listUpTo<JobAnswer>(client, '/jobs', limit, { query, signal });
      if (terminal.json) return terminal.printJson(jobs);
      if (jobs.items.length === 0) return terminal.note('No such jobs. Start one: npx sheaf job create FILE');
      printTable(
        terminal,
        [{ title: 'job' }, { title: 'state' }, { title: 'done', align: 'right' }, { title: 'rows', align: 'right' }, { title: 'failed', align: 'right' },
          { title: 'handler', shrinks: true }, { title: 'file', shrinks: true }, { title: 'created' }],
        jobs.items.map(({ id, state, progress, handler, file, createdAt }) => [
          id, state, progress.percent === null ? '' : `${Math.floor(progress.percent)} %`, progress.total === null ? '' : count(progress.total),
          count(progress.failed), handler, file.name, when(createdAt),
        ]),
      );
      if (jobs.nextCursor !== null) terminal.note(`There are more; --limit shows them.`);
    });
}

function addShow(job: Command): void {
  job.command('show <id>')
    .description('everything about one job')
    .action(async (id: string, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const shown = await client.call<JobAnswer>('GET', jobPath(id), { signal });
      if (terminal.json) return terminal.printJson(shown);
      printJob(terminal, shown);
      const graph = await client.call<JobGraphAnswer>('GET', jobPath(id, '/dependencies'), { signal });
      if (graph.jobs.length === 1) return;
      terminal.print('');
      for (const line of treeLines(graph, terminal)) terminal.print(line);
    });
}

function printJob(terminal: Terminal, job: JobAnswer): void {
  const { file, manifest } = job;
  printFacts(terminal, [
    ['job', job.id],
    ['file', [file.name, file.sheet === undefined ? '' : `sheet ${file.sheet}`, file.range ?? ''].filter(Boolean).join(', ')],
    ['read by', file.useAdc === true ? 'Application Default Credentials' : file.credentials],
    ['source', job.source],
    ['handler', job.handler],
    ['options', Object.keys(job.options).length === 0 ? null : JSON.stringify(job.options)],
    ['lane', job.lane === job.handler ? null : job.lane],
    ['rows named by', job.keyColumns.length > 0 ? job.keyColumns.join(', ') : 'their number'],
    ['columns', manifest === undefined ? null : columnNames(manifest.columns.map(({ name }) => name))],
    ['may cost', job.maxCost === undefined ? null : String(job.maxCost)],
    ['priority', job.priority],
    ['tags', job.tags.join(', ')],
    ['owner', job.owner === 'default' ? null : job.owner],
    ['attempt', count(job.attempt)],
    ['created', when(job.createdAt)],
    ['started', when(job.startedAt)],
    ['ended', when(job.completedAt)],
    ['asked for', job.desired],
    ['waits until', when(job.until)],
    ['waits for', (job.waitsFor ?? []).map(({ job: one, state }) => `${one} (${state ?? 'deleted'})`).join(', ')],
    ['otherwise', job.dependsOn.length === 0 || job.onFailure === 'cancel' ? null : `${job.onFailure}s when one of them fails`],
    ['batch', job.batch],
    ['schedule', job.schedule === undefined ? null : `${job.schedule.id}, due ${when(job.schedule.at)}`],
  ]);
  printWarnings(terminal, manifest?.warnings ?? []);
  terminal.print('');
  printOutcome(terminal, job);
}

const MOST_NAMES = 12;
function columnNames(names: string[]): string {
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${names.slice(0, MOST_NAMES).join(', ')} and ${count(more)} more` : names.join(', ');
}

function addWatch(job: Command): void {
  job.command('watch <id>')
    .description('follow a job to its end')
    .addHelpText('after', '\nExit code 0 when every row got through, 1 when the job failed, was cancelled or any row failed.\nCtrl-C ends the watching, not the job.')
    .action(async (id: string, _options: object, command: Command) => watchToEnd(contextOf(command), id));
}

function addItems(job: Command): void {
  job.command('items <id>')
    .description('rows of a job and what became of them')
    .addOption(new Option('--state <state>', 'only rows with this outcome').choices(['done', 'unchanged', 'failed', 'skipped', 'remaining']))
    .option('--code <code>', 'only rows that failed with this code')
    .option('--limit <n>', 'at most so many', atLeastOne, 50)
    .action(async (id: string, { limit, ...query }: { state?: string; code?: string; limit: number }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const rows = await listUpTo<ItemAnswer>(client, jobPath(id, '/items'), limit, { query, signal });
      if (terminal.json) return terminal.printJson(rows);
      if (rows.items.length === 0) return terminal.note('No such rows.');
      printItems(terminal, rows.items);
      if (rows.nextCursor !== null) terminal.note('There are more; --limit shows them, `sheaf job results` gives all.');
    });
}

export function printItems(terminal: Terminal, items: ItemAnswer[]): void {
  printTable(
    terminal,
    [{ title: 'row', align: 'right' }, { title: 'key', shrinks: true }, { title: 'state' }, { title: 'code' }, { title: 'output or error', shrinks: true }],
    items.map(({ row, key, state, output, error }) => [
      String(row), (key ?? '').slice(0, 200), state, error?.code ?? '',
      (error?.message ?? (output === null ? '' : JSON.stringify(output))).slice(0, 1000),
    ]),
  );
}

function addErrors(job: Command): void {
  job.command('errors <id>')
    .description('failed rows, grouped by what their failures have in common')
    .option('--limit <n>', 'at most so many groups', atLeastOne, 20)
    .action(async (id: string, { limit }: { limit: number }, command: Command) => {
      const { sheaf, terminal, signal } = contextOf(command);
      const groups = await sheaf.job(id).errors({ limit }, signal).catch(refuse);
      if (terminal.json) return terminal.printJson(groups);
      if (groups.items.length === 0) return terminal.note('No row has failed.');
      printTable(
        terminal,
        [{ title: 'group' }, { title: 'rows', align: 'right' }, { title: 'code' }, { title: 'for example', shrinks: true }, { title: 'row', align: 'right' }],
        groups.items.map(({ fingerprint, rows, code, example }) => [fingerprint, count(rows), code, example.error.message, count(example.row)]),
      );
      if (groups.more) terminal.note('There are more; --limit shows them.');
      terminal.note(`Mend the cause, then: npx sheaf job retry ${id} --group ${groups.items[0]!.fingerprint} --wait`);
    });
}

function addEvents(job: Command): void {
  job.command('events <id>')
    .description("a job's log")
    .option('--follow', 'go on until the job ends')
    .action(async (id: string, { follow = false }: { follow?: boolean }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      let last = 0;
      while (true) {
        // Asked before the events, so that none of an ended job's is missed.
        const goesOn = follow && !isEnded((await client.call<JobAnswer>('GET', jobPath(id), { signal })).state);
        for (const event of await eventsAfter(client, id, last, signal)) {
          last = event.seq;
          terminal.print(terminal.json ? JSON.stringify(event) : eventLine(terminal, event));
        }
        if (!goesOn) return;
        await sleep(1000, undefined, { signal });
      }
    });
}

/** A job keeps 1,000 events at most. */
async function eventsAfter(client: Client, id: string, seq: number, signal: AbortSignal): Promise<EventAnswer[]> {
  const { items } = await listUpTo<EventAnswer>(client, jobPath(id, '/events'), 1000, { signal });
  return items.filter((event) => event.seq > seq).sort((one, other) => one.seq - other.seq);
}

function eventLine(terminal: Terminal, { at, type, message }: EventAnswer): string {
  const date = new Date(at);
  const day = date.toDateString() === new Date().toDateString() ? '' : `${when(at).slice(0, 10)} `;
  return `${terminal.paint('dim', day + timeOfDay(date))}  ${terminal.paint('bold', type.padEnd(12))}  ${printable(message)}`;
}

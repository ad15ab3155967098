/** `sheaf schedule …`: jobs that are made by the clock. */
import { type Command, Option } from 'commander';
import { OVERLAPS } from '../contracts/plans.ts';
import type { ScheduleAnswer, TriggerAnswer } from '../contracts/plans-api.ts';
import { listUpTo } from './client.ts';
import { contextOf } from './context.ts';
import { count, when } from './format.ts';
import { atLeastOne, type CreateOptions, jobOptions, jobRequest, timeOf } from './job-create.ts';
import { withSheetFile } from './sheet-file.ts';
import { printFacts, printTable } from './table.ts';
import type { Terminal } from './terminal.ts';

interface ScheduleOptions extends CreateOptions {
  cron: string;
  timeZone: string;
  id?: string;
  overlap?: string;
  paused?: boolean;
}

const schedulePath = (id: string, rest = ''): string => `/schedules/${encodeURIComponent(id)}${rest}`;
const stateStyles = { active: 'green', paused: 'yellow', missing: 'red', unknown: 'yellow' } as const;

export function addScheduleCommands(program: Command): void {
  const schedule = program.command('schedule').description('run a sheet by the clock');
  addCreate(schedule);
  addList(schedule);
  addShow(schedule);

  schedule.command('set <id>')
    .description('change when it runs')
    .option('--cron <expression>', 'as for create')
    .option('--time-zone <zone>', 'whose local time that is')
    .addOption(new Option('--overlap <what>', 'when a job of it has not ended').choices([...OVERLAPS]))
    .action(async (id: string, wanted: Partial<Pick<ScheduleOptions, 'cron' | 'timeZone' | 'overlap'>>, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      printChanged(terminal, await client.call<ScheduleAnswer>('PATCH', schedulePath(id), { body: wanted, signal }));
    });

  schedule.command('pause <id>')
    .description('make no further jobs; those that it has made go on')
    .option('--note <text>', 'why, for others')
    .action(async (id: string, { note }: { note?: string }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      printChanged(terminal, await client.call<ScheduleAnswer>('POST', schedulePath(id, '/pause'), { body: note === undefined ? {} : { note }, signal }));
    });

  schedule.command('resume <id>')
    .description('go on with a paused schedule')
    .action(async (id: string, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      printChanged(terminal, await client.call<ScheduleAnswer>('POST', schedulePath(id, '/resume'), { signal }));
    });

  schedule.command('run <id>')
    .description('run now, also while it is paused or a job of it has not ended')
    .action(async (id: string, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const { job, schedule: now } = await client.call<TriggerAnswer>('POST', schedulePath(id, '/trigger'), { signal });
      if (terminal.json) return terminal.printJson({ job, schedule: now });
      if (job === null) return terminal.note(`Asked for. \`sheaf schedule show ${id}\` says which job it makes.`);
      terminal.print(job);
      terminal.note(`Follow it: npx sheaf job watch ${job}`);
    });

  schedule.command('backfill <id>')
    .description('run what would have been due in a time that has passed, one job after the other')
    .requiredOption('--from <time>', 'ISO 8601, such as 2026-11-01 or 2026-11-01T06:00+01:00', timeOf)
    .option('--to <time>', 'default: now', timeOf)
    .action(async (id: string, { from, to = new Date().toISOString() }: { from: string; to?: string }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      printChanged(terminal, await client.call<ScheduleAnswer>('POST', schedulePath(id, '/backfill'), { body: { from, to }, signal }));
    });

  schedule.command('delete <id>')
    .description('delete a schedule; jobs that it has made stay')
    .action(async (id: string, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      await client.call('DELETE', schedulePath(id), { signal });
      if (terminal.json) terminal.printJson({ id, deleted: true });
      else terminal.print(`The schedule ${id} is deleted.`);
    });
}

function addCreate(schedule: Command): void {
  jobOptions(schedule.command('create <file>'))
    .description('make a job on a sheet file whenever it is due')
    .requiredOption('--cron <expression>', "when: minute, hour, day of month, month, day of week, such as '0 6 * * 1-5'; or @daily, '@every 30m'")
    .option('--time-zone <zone>', 'whose local time that is, such as Europe/Berlin', Intl.DateTimeFormat().resolvedOptions().timeZone)
    .option('--id <name>', 'a name for it (default: made)')
    .addOption(new Option('--overlap <what>', 'when a job of it has not ended (default: skip)').choices([...OVERLAPS]))
    .option('--paused', 'begin paused')
    .addHelpText('after', `
Example:
  npx sheaf schedule create orders.csv --key order_id --cron '0 6 * * 1-5' --time-zone Europe/Berlin --id morning-orders`)
    .action(async (file: string, options: ScheduleOptions, command: Command) => {
      const context = contextOf(command);
      const { client, terminal, signal } = context;
      const { cron, timeZone, id, overlap, paused, idempotencyKey } = options;
      const headers = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
      let uploaded = false;
      const made = await withSheetFile(context, file, options, (source) => {
        uploaded = 'upload' in source;
        const body = { cron, timeZone, ...(id !== undefined && { id }), ...(overlap !== undefined && { overlap }), ...(paused && { paused }), job: { source, ...jobRequest(options) } };
        return client.call<ScheduleAnswer>('POST', '/schedules', { body, headers, signal });
      });
      if (terminal.json) return terminal.printJson(made);
      terminal.print(made.id);
      terminal.note(made.next[0] === undefined ? `It is ${made.state}.` : `Next: ${when(made.next[0])}`);
      if (uploaded) terminal.note('The file was uploaded as it is now: every run reads this upload. Give a file in SHEAF_INPUT_DIRS for runs that read it anew.');
    });
}

function addList(schedule: Command): void {
  schedule.command('list')
    .description('the newest schedules first')
    .option('--limit <n>', 'at most so many', atLeastOne, 50)
    .action(async ({ limit }: { limit: number }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const found = await listUpTo<ScheduleAnswer>(client, '/schedules', limit, { signal });
      if (terminal.json) return terminal.printJson(found);
      if (found.items.length === 0) return terminal.note("No schedules. Make one: npx sheaf schedule create FILE --cron '0 6 * * *'");
      printTable(
        terminal,
        [{ title: 'schedule' }, { title: 'state' }, { title: 'cron' }, { title: 'time zone', shrinks: true }, { title: 'next' }, { title: 'last' },
          { title: 'handler', shrinks: true }, { title: 'file', shrinks: true }],
        found.items.map(({ id, state, cron, timeZone, next, recent, job }) => [
          id, state, cron, timeZone, when(next[0]), when(recent.at(-1)?.at), job.handler, job.file,
        ]),
      );
      if (found.nextCursor !== null) terminal.note('There are more; --limit shows them.');
    });
}

function addShow(schedule: Command): void {
  schedule.command('show <id>')
    .description('when it runs, and what it has run')
    .action(async (id: string, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const shown = await client.call<ScheduleAnswer>('GET', schedulePath(id), { signal });
      if (terminal.json) return terminal.printJson(shown);
      const { job, counts } = shown;
      printFacts(terminal, [
        ['schedule', shown.id],
        ['state', shown.note === undefined ? shown.state : `${shown.state}: ${shown.note}`],
        ['cron', `${shown.cron}  ${shown.timeZone}`],
        ['overlap', shown.overlap],
        ['file', job.file],
        ['handler', job.handler],
        ['options', Object.keys(job.options).length === 0 ? null : JSON.stringify(job.options)],
        ['source', job.source],
        ['priority', job.priority],
        ['tags', job.tags.join(', ')],
        ['created', when(shown.createdAt)],
        ['runs', `${count(counts.started)} started, ${count(counts.skipped)} skipped, ${count(counts.missed)} missed`],
        ['next', shown.next.slice(0, 3).map((at) => when(at)).join(', ')],
      ]);
      if (shown.recent.length === 0) return;
      terminal.print('');
      printTable(terminal, [{ title: 'due' }, { title: 'job' }], shown.recent.toReversed().map(({ at, job: made }) => [when(at), made]));
    });
}

function printChanged(terminal: Terminal, schedule: ScheduleAnswer): void {
  if (terminal.json) return terminal.printJson(schedule);
  terminal.print(`${schedule.id}  ${terminal.paint(stateStyles[schedule.state], schedule.state)}${schedule.next[0] === undefined ? '' : `  next ${when(schedule.next[0])}`}`);
}

/** `sheaf system analytics`: figures over ended jobs, with small plots. */
import { type Command, Option } from 'commander';
import type { AnalyticsAnswer } from '../contracts/system-api.ts';
import { STAGES } from '../contracts/summary.ts';
import { contextOf } from './context.ts';
import { count, duration, money } from './format.ts';
import { bar, sparkline } from './plot.ts';
import { percent } from './system-status.ts';
import { printFacts, printTable } from './table.ts';
import type { Terminal } from './terminal.ts';

const DAY_MS = 86_400_000;
const PLOT_WIDTH = 60;
const BAR_WIDTH = 16;
/** Days in the table; the plots above it have all. */
const MOST_DAYS = 31;

interface Asked {
  since?: string;
  until?: string;
  handler?: string;
  csv?: string;
}

export function addAnalytics(system: Command): void {
  system.command('analytics')
    .description('figures over ended jobs: durations, rows a minute, errors, cost, by day and handler')
    .option('--since <time>', 'jobs that ended then or later: a day or a time, ISO 8601 (default: 30 days ago)')
    .option('--until <time>', 'jobs that ended before')
    .option('--handler <name>', 'only jobs of this handler')
    .addOption(new Option('--csv <by>', 'a table as CSV in place of the plots, a line for each').choices(['day', 'handler', 'code']))
    .addHelpText('after', "\nOf the tenant that --tenant names; jobs that were deleted since count. p50 and p95: half of the jobs, and 95 of 100, took no longer.")
    .action(async ({ csv, ...query }: Asked, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      if (csv !== undefined) {
        const response = await client.open('GET', '/analytics/jobs', { query: { ...query, format: 'csv', by: csv }, signal });
        terminal.out.write(await response.text());
        return;
      }
      const found = await client.call<AnalyticsAnswer>('GET', '/analytics/jobs', { query: { ...query }, signal });
      if (terminal.json) terminal.printJson(found);
      else if (found.all.jobs === 0) terminal.note(`No job ended between ${found.since} and ${found.until}.`);
      else printAnalytics(terminal, found);
    });
}

type Figures = AnalyticsAnswer['all'];

const time = (seconds: number | null): string => (seconds === null ? '' : duration(seconds));
const paid = (cost: number | null): string => (cost === null ? '' : money(cost));
const share = (rate: number | null): string => (rate === null ? '' : percent(rate));
const pace = (perMinute: number | null): string => (perMinute === null ? '' : count(Math.round(perMinute)));

function printAnalytics(terminal: Terminal, found: AnalyticsAnswer): void {
  const { all } = found;
  const days = everyDay(found);
  printFacts(terminal, [
    ['ended', `${found.since.slice(0, 16).replace('T', ' ')} to ${found.until.slice(0, 16).replace('T', ' ')} UTC`],
    ['jobs', `${count(all.jobs)}: ${count(all.completed)} completed, ${count(all.failed)} failed, ${count(all.cancelled)} cancelled`],
    ['rows', `${count(all.rows)}, ${count(all.failedRows)} failed${all.errorRate === null ? '' : ` (${percent(all.errorRate)})`}`],
    ['rows/min', pace(all.rowsPerMinute)],
    ['duration', `p50 ${time(all.total.p50)}, p95 ${time(all.total.p95)}`],
    ['tokens', all.tokens === null ? null : count(all.tokens)],
    ['cost', paid(all.cost)],
    ...(days.length > 1 ? [
      ['jobs a day', `▕${sparkline(days.map((day) => day?.jobs ?? 0), PLOT_WIDTH)}▏`],
      ['rows a day', `▕${sparkline(days.map((day) => day?.rows ?? 0), PLOT_WIDTH)}▏`],
      ['failed rows', `▕${sparkline(days.map((day) => day?.failedRows ?? 0), PLOT_WIDTH)}▏`],
    ] satisfies [string, string][] : []),
  ]);
  printDays(terminal, found.days);
  printHandlers(terminal, found.handlers);
  const most = Math.max(0, ...found.errors.map(({ rows }) => rows));
  if (most === 0) return;
  terminal.print('');
  printTable(terminal, [{ title: 'failed with', shrinks: true }, { title: 'rows', align: 'right' }, { title: '' }],
    found.errors.map(({ code, rows }) => [code, count(rows), bar(rows, most, BAR_WIDTH)]));
}

/** From the first with an end to the last; null where none ended. */
function everyDay({ days }: AnalyticsAnswer): (Figures | null)[] {
  const [first, last] = [days[0], days.at(-1)];
  if (!first || !last) return [];
  const byDay = new Map(days.map((day) => [day.day, day]));
  const start = Date.parse(first.day);
  return Array.from({ length: (Date.parse(last.day) - start) / DAY_MS + 1 }, (_, index) => byDay.get(new Date(start + index * DAY_MS).toISOString().slice(0, 10)) ?? null);
}

function printDays(terminal: Terminal, days: AnalyticsAnswer['days']): void {
  const shown = days.slice(-MOST_DAYS);
  const most = Math.max(...shown.map(({ jobs }) => jobs));
  terminal.print('');
  printTable(terminal, [
    { title: 'day' }, { title: 'jobs', align: 'right' }, { title: '' }, { title: 'rows', align: 'right' }, { title: 'failed', align: 'right' }, { title: 'rows/min', align: 'right' },
    { title: 'p50', align: 'right' }, { title: 'p95', align: 'right' }, { title: 'cost', align: 'right' },
  ], shown.map((one) => [
    one.day, count(one.jobs), bar(one.jobs, most, BAR_WIDTH), count(one.rows), share(one.errorRate), pace(one.rowsPerMinute), time(one.total.p50), time(one.total.p95), paid(one.cost),
  ]));
  if (shown.length < days.length) terminal.note(`The last ${MOST_DAYS} days on which jobs ended; --csv day gives all.`);
}

function printHandlers(terminal: Terminal, handlers: AnalyticsAnswer['handlers']): void {
  terminal.print('');
  printTable(terminal, [
    { title: 'handler', shrinks: true }, { title: 'jobs', align: 'right' }, { title: 'rows', align: 'right' }, { title: 'failed', align: 'right' }, { title: 'rows/min', align: 'right' }, { title: 'cost', align: 'right' },
    { title: 'p50', align: 'right' }, { title: 'p95', align: 'right' }, ...STAGES.map((stage) => ({ title: `${stage} p95`, align: 'right' as const })),
  ], handlers.map((one) => [
    one.handler, count(one.jobs), count(one.rows), share(one.errorRate), pace(one.rowsPerMinute), paid(one.cost), time(one.total.p50), time(one.total.p95),
    ...STAGES.map((stage) => time(one.stages[stage].p95)),
  ]));
}

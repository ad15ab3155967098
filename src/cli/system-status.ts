/** The system's status as lines of text, for `system status` and `system top`. */
import type { SystemAnswer } from '../contracts/system-api.ts';
import { isEnded, JOB_STATES, type JobState } from '../contracts/job.ts';
import { bytes, count, duration, fit, printable, when } from './format.ts';
import { paintLine, stateStyle, type Span } from './progress-bar.ts';
import { tableLines, type TableColumn } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Lines that are always there, with those that every table has beside its rows, and rows of task queues. */
const FIXED_LINES = 18;

/** `height`: at most so many lines, none wider than the terminal; null: all that there is to say. */
export function statusLines(status: SystemAnswer, url: string, terminal: Terminal, height: number | null): string[] {
  const columns = terminal.width();
  // The last column stays free: some terminals wrap as soon as it is filled.
  const width = columns === null ? null : Math.max(20, columns - 1);
  const line = (...spans: Span[]): string => paintLine(spans, width, terminal.paint);
  const table = (heading: TableColumn[], rows: string[][]): string[] => {
    const [head = '', ...rest] = tableLines(heading, rows, { ...terminal, width: () => width, paint: (_style, text) => text });
    const cut = (text: string): string => (width === null ? text : fit(text, width));
    return ['', terminal.paint('bold', cut(head)), ...rest.map(cut)];
  };
  const room = height === null ? Infinity : Math.max(2, height - FIXED_LINES);
  const lines = [headLine(status, url, line), partsLine(status, line), ...factLines(status, line)];
  lines.push(...tenantLines(status, table, line, Math.floor(room / 2)), ...workerLines(status, table, line, Math.ceil(room / 2)), ...queueLines(status, table, line));
  return height === null ? lines : lines.slice(0, height);
}

type Line = (...spans: Span[]) => string;
type Table = (heading: TableColumn[], rows: string[][]) => string[];

const STATUS_STYLES = { ok: 'green', degraded: 'yellow', down: 'red' } as const;

const headLine = ({ status, version, node, uptimeSeconds }: SystemAnswer, url: string, line: Line): string =>
  line({ text: 'Sheaf ', style: 'bold' }, { text: `${version}  ` }, { text: status, style: STATUS_STYLES[status] }, { text: `  ${url}  up for ${duration(uptimeSeconds)}  Node.js ${node}`, style: 'dim' });

function partsLine({ parts }: SystemAnswer, line: Line): string {
  return line(...Object.entries(parts).flatMap(([name, { ok, message, latencyMs }], index): Span[] => [
    { text: `${index === 0 ? '' : '  '}${name} ` },
    ok ? { text: latencyMs === undefined ? 'ok' : `ok ${latencyMs} ms`, style: 'green' } : { text: `DOWN${message === undefined ? '' : ` (${printable(message)})`}`, style: 'red' },
  ]));
}

const unknown = (message: string): Span => ({ text: `unknown: ${printable(message)}`, style: 'yellow' });

function factLines({ jobs, queue, limits, throughput }: SystemAnswer, line: Line): string[] {
  const name = (text: string): Span => ({ text: text.padEnd(11), style: 'dim' });
  const states: Span[] = !jobs.ok ? [unknown(jobs.message)] : JOB_STATES.filter((state) => (jobs.states[state] ?? 0) > 0 || state === 'queued' || state === 'running')
    .map((state) => ({ text: `${state} ${count(jobs.states[state] ?? 0)}  `, style: (jobs.states[state] ?? 0) > 0 ? stateStyle(state) : 'dim' }));
  const waits: Span = !queue.ok ? unknown(queue.message)
    : { text: queue.oldestSeconds === null ? 'nobody waits' : `${count(queue.length)} waiting, the first for ${duration(queue.oldestSeconds)}` };
  const rows: Span[] = !throughput.ok ? [unknown(throughput.message)]
    : [{ text: `${count(Math.round(throughput.rowsPerMinute))} rows/min by ${plural(throughput.runningJobs, 'running job')}` }];
  const hour: Span[] = !throughput.ok ? [unknown(throughput.message)] : hourSpans(throughput.lastHour);
  return ['', line(name('jobs'), ...states), line(name('queue'), waits), line(name('rows'), ...rows), line(name('last hour'), ...hour), ...limitLines(limits, name, line)];
}

/** One line, and none where nothing is limited; `system limits` has the rest. */
function limitLines(limits: SystemAnswer['limits'], name: (text: string) => Span, line: Line): string[] {
  if (!limits.ok) return [line(name('limits'), unknown(limits.message))];
  if (limits.items.length === 0) return [];
  return [line(name('limits'), ...limits.items.map(({ name: key, used, most, waiting, backOffSeconds }): Span => ({
    text: `${printable(key)} ${count(used)}${most === null ? '' : `/${count(most)}`}${waiting > 0 ? ` (${count(waiting)} wait)` : ''}${backOffSeconds === null ? '' : ` held back for ${duration(backOffSeconds)}`}  `,
    ...((waiting > 0 || backOffSeconds !== null) && { style: 'yellow' as const }),
  })))];
}

function hourSpans({ jobs, failedJobs, rows, errorRate, p95Seconds }: Extract<SystemAnswer['throughput'], { ok: true }>['lastHour']): Span[] {
  if (jobs === 0) return [{ text: 'no job ended' }];
  return [
    { text: `${plural(jobs, 'job')} ended` },
    ...(failedJobs > 0 ? [{ text: `, ${count(failedJobs)} failed`, style: 'red' as const }] : []),
    { text: `, ${count(rows)} rows` },
    ...(errorRate === null ? [] : [{ text: `, ${percent(errorRate)} failed`, ...(errorRate > 0 && { style: 'red' as const }) }]),
    ...(p95Seconds === null ? [] : [{ text: `, 95 % within ${duration(p95Seconds)}` }]),
  ];
}

export const percent = (share: number): string => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;

const plural = (number: number, noun: string): string => `${count(number)} ${noun}${number === 1 ? '' : 's'}`;

/** The first rows that there is room for, and how many more there are. */
function some<T>(all: T[], room: number, name: string, line: Line): { shown: T[]; more: string[] } {
  if (all.length <= room) return { shown: all, more: [] };
  const shown = all.slice(0, Math.max(1, room - 1));
  return { shown, more: [line({ text: `and ${count(all.length - shown.length)} more ${name}`, style: 'dim' })] };
}

function tenantLines({ jobs }: SystemAnswer, table: Table, line: Line, room: number): string[] {
  if (!jobs.ok) return [];
  const open = JOB_STATES.filter((state) => !isEnded(state));
  const busy = jobs.tenants.filter(({ states }) => open.some((state) => (states[state] ?? 0) > 0));
  if (busy.length === 0) return [];
  const { shown, more } = some(busy, room, 'tenants', line);
  const cell = (states: Partial<Record<JobState, number>>, ...of: JobState[]): string => {
    const jobsIn = of.reduce((sum, state) => sum + (states[state] ?? 0), 0);
    return jobsIn === 0 ? '' : count(jobsIn);
  };
  return [...table(
    [{ title: 'tenant', shrinks: true }, ...['queued', 'running', 'waiting', 'paused', 'ending', 'ended'].map((title) => ({ title, align: 'right' as const }))],
    shown.map(({ tenant, states }) => [
      tenant, cell(states, 'queued'), cell(states, 'running'), cell(states, 'waiting'), cell(states, 'pausing', 'paused'), cell(states, 'cancelling'), cell(states, 'completed', 'failed', 'cancelled'),
    ]),
  ), ...more];
}

function workerLines({ workers }: SystemAnswer, table: Table, line: Line, room: number): string[] {
  if (!workers.ok) return ['', line({ text: 'workers    ', style: 'dim' }, unknown(workers.message))];
  if (workers.items.length === 0) return ['', line({ text: 'workers    ', style: 'dim' }, { text: 'none has been heard of; jobs wait until one runs', style: 'yellow' })];
  const { shown, more } = some(workers.items, room, 'workers', line);
  return [...table(
    [{ title: 'worker', shrinks: true }, { title: 'state' }, { title: 'slots', shrinks: true }, { title: 'CPU', align: 'right' }, { title: 'memory', align: 'right' }, { title: 'version' }, { title: 'seen' }],
    shown.map(({ host, pid, state, throttled, slots, cpu, cores, memory, versions, seenAt }) => [
      `${host}:${pid}`, state === 'lost' ? 'LOST' : throttled ? 'throttled' : state, slots.map(({ queue, used, total }) => `${shortName(queue)} ${used}/${total}`).join(' '),
      `${Math.round(cpu * 100)}/${cores * 100} %`, bytes(memory.used), versions.sheaf, when(seenAt),
    ]),
  ), ...more];
}

const shortName = (queue: string): string => queue.replace(/^sheaf-/, '');

function queueLines({ taskQueues }: SystemAnswer, table: Table, line: Line): string[] {
  if (!taskQueues.ok) return ['', line({ text: 'tasks      ', style: 'dim' }, unknown(taskQueues.message))];
  const rate = (perSecond: number): string => `${perSecond.toFixed(1)}/s`;
  return table(
    [{ title: 'task queue' }, { title: 'tasks' }, { title: 'backlog', align: 'right' }, { title: 'oldest', align: 'right' }, { title: 'added', align: 'right' }, { title: 'taken', align: 'right' }, { title: 'pollers', align: 'right' }],
    taskQueues.items.map(({ queue, tasks, backlog, oldestSeconds, addedPerSecond, takenPerSecond, pollers }) => [
      queue, tasks, count(backlog), backlog === 0 ? '' : duration(oldestSeconds), rate(addedPerSecond), rate(takenPerSecond), count(pollers),
    ]),
  );
}

/** Follows a job to its end: a live bar on a terminal, else one line a change; NDJSON with `--json`. */
import { follow } from '../client/follow.ts';
import { JOB_POLL, jobText } from '../client/jobs.ts';
import type { JobAnswer } from '../contracts/job-api.ts';
import { isEnded } from '../contracts/job.ts';
import { type Client, Unreachable } from './client.ts';
import type { Context } from './context.ts';
import { CommandFailure, EXIT } from './failure.ts';
import { count, duration, printable, timeOfDay } from './format.ts';
import { countSpans, jobLines, openPainter, type Painter, paintLine, stateStyle, causeText, paidText } from './progress-bar.ts';
import type { Terminal } from './terminal.ts';

/** Between two lines that only count on, where the output is no terminal. */
const LINE_EVERY_MS = 10_000;
const LINE_EVERY_PERCENT = 5;

export interface WatchOptions {
  /** Stands above the bar; the job's handler and id unless given. */
  title?: string;
  /** Ends the watching, not the job. */
  signal?: AbortSignal;
}

/**
 * Resolves with the ended job, or with null when the signal ended the watching. Rejects with a `CommandFailure`: the
 * job does not exist (any more), or the API was away for a minute.
 */
export async function watchJob(client: Client, id: string, terminal: Terminal, { title, signal }: WatchOptions = {}): Promise<JobAnswer | null> {
  const view = terminal.json ? jsonView(terminal) : terminal.width() === null ? lineView(terminal) : liveView(terminal, title);
  return follow({
    ask: () => client.call<JobAnswer>('GET', `/jobs/${encodeURIComponent(id)}`, { signal }),
    isEnd: ({ state }) => isEnded(state), text: jobText, onState: (job) => view.show(job), isPassing, poll: JOB_POLL, signal,
    onAway: (leftMs) => view.away(`Asking ${client.url} for another ${duration(leftMs / 1000)}.`),
  });
}

/** A restart looks like this; a 404 or a wrong request does not. */
function isPassing(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof CommandFailure && (error.problem.status ?? 0) >= 500);
}

const AWAY = 'The API does not answer; the job goes on.';

interface View {
  show(job: JobAnswer): void;
  /** The API does not answer at the moment. */
  away(hope: string): void;
}

function liveView(terminal: Terminal, title: string | undefined): View {
  const painter: Painter = openPainter(terminal.out);
  let lines: string[] = [];
  // The last column stays free: some terminals wrap as soon as it is filled.
  const width = (): number => Math.max(20, (terminal.width() ?? 80) - 1);
  return {
    show(job) {
      if (isEnded(job.state)) return painter.clear();
      const spans = jobLines(job, title ?? `${job.handler}  ${job.id}`, width(), new Date());
      lines = spans.map((line) => paintLine(line, width(), terminal.paint));
      painter.paint(lines);
    },
    away(hope) {
      const words = [AWAY, hope].map((text) => paintLine([{ text, style: 'yellow' }], width(), terminal.paint));
      painter.paint([...lines.slice(0, -1), ...words]);
    },
  };
}

function lineView(terminal: Terminal): View {
  let last: { key: string; percent: number; at: number } | null = null;
  let away = false;
  return {
    show(job) {
      if (away) terminal.print(`${timeOfDay(new Date())}  The API answers again.`);
      away = false;
      const { percent, total } = job.progress;
      const key = `${job.state} ${job.cause} ${job.queue?.position} ${job.attempt} ${total === null}`;
      const moved = last !== null && percent !== null && percent !== last.percent
        && (percent - last.percent >= LINE_EVERY_PERCENT || performance.now() - last.at >= LINE_EVERY_MS);
      if (last?.key === key && !moved) return;
      last = { key, percent: percent ?? 0, at: performance.now() };
      const parts = [timeOfDay(new Date()), job.state.padEnd(10)];
      if (job.state === 'waiting' && job.cause) parts.push(`for ${causeText(job)}`);
      if (job.queue) parts.push(`number ${job.queue.position} in the queue: ${printable(job.reason ?? '')}`);
      if (percent !== null && total !== null) {
        parts.push(`${percent.toFixed(1).padStart(5)} % of ${count(total)} rows`, paintLine(countSpans(job.progress), null, terminal.paint));
      }
      terminal.print(parts.join('  ').trimEnd());
    },
    away(hope) {
      if (!away) terminal.print(`${timeOfDay(new Date())}  ${AWAY} ${hope}`);
      away = true;
    },
  };
}

function jsonView(terminal: Terminal): View {
  let last = '';
  return {
    show({ id, state, cause, until, reason, queue, attempt, progress, error }) {
      const line = JSON.stringify({ id, state, cause, until, reason, queue, attempt, progress, error });
      if (line !== last) terminal.print(line);
      last = line;
    },
    away() {},
  };
}

/** What became of an ended job, for people. */
export function printOutcome(terminal: Terminal, job: JobAnswer): void {
  const { progress } = job;
  const ran = job.startedAt && job.completedAt ? ` in ${duration((Date.parse(job.completedAt) - Date.parse(job.startedAt)) / 1000)}` : '';
  const rows = progress.total === null ? '' : `  ${count(progress.total)} rows${ran}`;
  terminal.print(`${terminal.paint(stateStyle(job.state), job.state)}${rows}`);
  if (progress.total !== null) terminal.print(paintLine(countSpans(progress), null, terminal.paint));
  if (job.error) {
    terminal.print(`${terminal.paint('red', job.error.code)}: ${printable(job.error.message)}`);
    if (job.error.remedy !== undefined) terminal.print(`  ${printable(job.error.remedy)}`);
  } else if (job.reason) {
    terminal.print(printable(job.reason));
  }
  const codes = (job.errors ?? []).map(({ code, rows: failed }) => `${printable(code)} ${count(failed)}`);
  if (codes.length > 0) terminal.print(`failed by code: ${codes.join(', ')}`);
  const paid = paidText(job);
  if (paid !== null) terminal.print(`paid: ${paid}`);
  if (job.writeBack) terminal.print(`in the sheet: ${writeBackText(job.writeBack)}`);
}

/** What stands in the sheet, and what does not. */
function writeBackText({ current, written, moved, missing, cut, completedAt }: NonNullable<JobAnswer['writeBack']>): string {
  const parts = [`results of ${count(current)} rows`, `${count(written)} of them new`, moved > 0 && `${count(moved)} had moved`, missing > 0 && `${count(missing)} rows were not found again`, cut > 0 && `${count(cut)} values cut`, completedAt === null && 'not finished'];
  return parts.filter(Boolean).join(', ');
}

/** A person or script that waited wants to know: did every row get through? */
export const succeeded = (job: JobAnswer): boolean => job.state === 'completed' && job.progress.failed === 0;

/** Watches and reports; sets the exit code: 1 unless every row got through, 130 after Ctrl-C. */
export async function watchToEnd({ client, terminal, signal }: Context, id: string, title?: string): Promise<void> {
  const ended = await watchJob(client, id, terminal, { ...(title !== undefined && { title }), signal });
  if (ended === null) {
    terminal.note('Stopped watching; the job goes on.');
    terminal.note(`Follow it again: npx sheaf job watch ${id}`);
    process.exitCode = EXIT.interrupted;
    return;
  }
  if (!terminal.json) {
    printOutcome(terminal, ended);
    if (ended.progress.total !== null) terminal.note(`Results: npx sheaf job results ${id} --output results.csv`);
    if (ended.progress.failed > 0) {
      terminal.note(`Failed rows: npx sheaf job items ${id} --state failed`);
      terminal.note(`Try them again: npx sheaf job retry ${id} --wait`);
    }
  }
  process.exitCode = succeeded(ended) ? EXIT.ok : EXIT.failed;
}

/** A job's progress as a few lines of text, and a painter that keeps such lines at the foot of a terminal. */
import stringWidth from 'string-width';
import type { JobAnswer } from '../contracts/job-api.ts';
import { count, duration, fit, isolate, money, printable, rate, when } from './format.ts';
import type { Output, Style, Terminal } from './terminal.ts';

/** A stretch of one line in one style. */
export interface Span {
  text: string;
  style?: Style;
}

const STATE_STYLES: Record<JobAnswer['state'], Style> = {
  queued: 'dim', running: 'cyan', pausing: 'yellow', paused: 'yellow', waiting: 'yellow',
  cancelling: 'yellow', completed: 'green', failed: 'red', cancelled: 'yellow',
};
export const stateStyle = (state: JobAnswer['state']): Style => STATE_STYLES[state] ?? 'reset';

const CAUSES: Record<string, string> = {
  rate_limit: 'a rate limit', budget: 'the budget', capacity: 'free capacity', approval: 'an approval',
  dependency: 'another job',
};
export const causeText = ({ cause, progress }: Pick<JobAnswer, 'cause' | 'progress'>): string =>
  (cause === undefined ? 'its turn' : cause === 'dependency' && progress.submitted !== undefined ? 'the answer of a service' : CAUSES[cause] ?? cause);

/** The bar alone: what each outcome fills, then what remains. */
export function barSpans(progress: JobAnswer['progress'], width: number): Span[] {
  const { total, done, unchanged, failed, skipped } = progress;
  const spans: Span[] = [];
  let rows = 0;
  let filled = 0;
  const parts: [number, Style][] = [[done, 'green'], [unchanged, 'cyan'], [skipped, 'gray'], [failed, 'red']];
  for (const [part, style] of parts) {
    rows += part;
    // Down, so that the bar is full only when nothing remains.
    const end = total === null ? 0 : total === 0 ? width : Math.min(width, Math.floor((rows * width) / total));
    if (end > filled) spans.push({ text: '█'.repeat(end - filled), style });
    filled = Math.max(filled, end);
  }
  if (filled < width) spans.push({ text: '░'.repeat(width - filled), style: 'dim' });
  return spans;
}

export function countSpans(progress: JobAnswer['progress']): Span[] {
  const { done, unchanged, failed, skipped, remaining, submitted = 0 } = progress;
  const one = (name: string, value: number, style: Style): Span =>
    value > 0 ? { text: `${name} ${count(value)}`, style } : { text: `${name} 0`, style: 'dim' };
  return join([
    one('done', done, 'green'), one('unchanged', unchanged, 'cyan'), one('failed', failed, 'red'),
    one('skipped', skipped, 'reset'), ...(remaining === null ? [] : [one('remaining', remaining, 'reset')]), ...(submitted === 0 ? [] : [one('of them with a service', submitted, 'reset')]),
  ]);
}

function join(spans: Span[]): Span[] {
  return spans.flatMap((span, index) => (index === 0 ? [span] : [{ text: '  ' }, span]));
}

/** On a narrow terminal, zeros go first. */
function fitting(spans: Span[], width: number): Span[] {
  const room = spans.reduce((sum, { text }) => sum + stringWidth(text), 0);
  return room <= width ? spans : join(spans.filter(({ text }) => text.trim() !== '' && !text.endsWith(' 0')));
}

/** Null: nothing is known of it. */
export function paidText({ tokens = null, cost = null, cached = 0 }: Pick<JobAnswer, 'tokens' | 'cost' | 'cached'>): string | null {
  const parts = [
    cost !== null && money(cost), tokens !== null && tokens > 0 && `${count(tokens)} tokens${cost === null ? ', at a price that nobody knows' : ''}`,
    cached > 0 && `${count(cached)} rows from earlier answers`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? null : parts.join(', ');
}

/** Why nothing moves, or how fast it does. */
function paceSpans(job: JobAnswer, now: Date): Span[] {
  const { stage, itemsPerSecond, etaSeconds, total } = job.progress;
  const since = (iso: string | null | undefined): string =>
    iso === null || iso === undefined ? '' : `, for ${duration(Math.max(1, (now.getTime() - Date.parse(iso)) / 1000))}`;
  if (job.state === 'waiting') {
    const until = job.until === null || job.until === undefined ? '' : `, until ${when(job.until, now)}`;
    return [{ text: `waits for ${causeText(job)}${until}`, style: 'yellow' },
      ...(job.reason === null || job.reason === undefined ? [] : [{ text: `  ${printable(job.reason)}` }])];
  }
  if (job.state === 'pausing' || job.state === 'cancelling') return [{ text: 'rows in flight are let finish', style: 'yellow' }];
  if (job.state === 'paused') return [{ text: `paused; go on with: npx sheaf job resume ${job.id}`, style: 'yellow' }];
  if (job.state === 'queued' && job.until) return [{ text: `starts ${when(job.until, now)}`, style: 'yellow' }];
  if (job.state === 'queued' && job.queue) return [{ text: `number ${job.queue.position} in the queue`, style: 'yellow' }, { text: `  ${printable(job.reason ?? '')}` }];
  if (job.state === 'queued') return [{ text: `waits for a worker${since(job.createdAt)}`, style: 'dim' }];
  if (stage === 'snapshot' || total === null) return [{ text: `reads the sheet${since(job.startedAt)}`, style: 'dim' }];
  if (stage === 'write_back') return [{ text: `writes results into the sheet: ${count(job.writeBack?.current ?? 0)} rows so far`, style: 'dim' }];
  const pace: Span[] = [];
  const paid = paidText(job);
  if (itemsPerSecond !== null) pace.push({ text: rate(itemsPerSecond) });
  if (etaSeconds !== null) pace.push({ text: `about ${duration(Math.max(1, etaSeconds))} left` });
  if (paid !== null) pace.push({ text: paid, style: 'dim' });
  return pace.length > 0 ? join(pace) : [{ text: 'counts the pace', style: 'dim' }];
}

/** What a person sees of a running job: title, bar, counts, pace; none wider than `width`. */
export function jobLines(job: JobAnswer, title: string, width: number, now: Date): Span[][] {
  const { percent, total } = job.progress;
  const state: Span = { text: job.state.padEnd(10), style: stateStyle(job.state) };
  const share = percent === null ? '' : ` ${percent.toFixed(1).padStart(5)} %`;
  const rows = total === null ? '' : `  of ${count(total)} rows`;
  const room = width - 11 - share.length;
  const bar = Math.max(4, Math.min(40, room - rows.length >= 10 ? room - rows.length : room));
  const tail = room - bar >= rows.length ? rows : '';
  return [
    [{ text: isolate(printable(title)), style: 'bold' }],
    [state, { text: ' ' }, ...barSpans(job.progress, bar), { text: share, style: 'bold' }, { text: tail, style: 'dim' }],
    ...(total === null ? [] : [fitting(countSpans(job.progress), width)]),
    paceSpans(job, now),
  ];
}

/** Cut to the width, then coloured. */
export function paintLine(spans: Span[], width: number | null, paint: Terminal['paint']): string {
  let left = width ?? Infinity;
  let line = '';
  for (const { text, style } of spans) {
    if (left <= 0) break;
    const shown = left === Infinity ? text : fit(text, left);
    left -= stringWidth(shown);
    line += style === undefined || shown === '' ? shown : paint(style, shown);
  }
  return line;
}

export interface Painter {
  /** Replaces the lines painted before. Each must be narrower than the terminal. */
  paint(lines: string[]): void;
  /** Removes them. */
  clear(): void;
}

/** Repaints in place: one write a frame, each line erased only behind its new text, so that nothing flickers. */
export function openPainter(out: Output): Painter {
  let painted: string[] = [];

  /** Rows that the painted lines fill now: a terminal made narrower has wrapped them. */
  function height(): number {
    const columns = out.columns || 80;
    return painted.reduce((rows, line) => rows + Math.max(1, Math.ceil(stringWidth(line) / columns)), 0);
  }
  const toTop = (): string => (painted.length === 0 ? '' : `\u001b[${height()}A\r`);

  return {
    paint(lines) {
      if (lines.join('\n') === painted.join('\n') && painted.length > 0) return;
      out.write(`${toTop()}${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`);
      painted = lines;
    },
    clear() {
      if (painted.length > 0) out.write(`${toTop()}\u001b[J`);
      painted = [];
    },
  };
}

import xterm from '@xterm/headless';
import fc from 'fast-check';
import { PassThrough } from 'node:stream';
import stringWidth from 'string-width';
import { afterEach, describe, expect, test } from 'vitest';
import { createClient } from '../../src/cli/client.ts';
import { barSpans, jobLines, openPainter, paintLine } from '../../src/cli/progress-bar.ts';
import { openTerminal } from '../../src/cli/terminal.ts';
import { printOutcome, succeeded, watchJob } from '../../src/cli/watch.ts';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import { type Answer, job, problem, progress, type ScriptedApi, scriptedApi } from '../servers/scripted-api.ts';

/** A real terminal's screen behind an output stream. */
function screenOf(columns: number, rows = 12) {
  const emulator = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true, convertEol: true });
  const out = Object.assign(new PassThrough(), { isTTY: true, columns });
  const frames: string[] = [];
  let written = 0;
  out.on('data', (chunk: Buffer) => { written += 1; frames.push(chunk.toString()); });
  const lines = async (): Promise<string[]> => {
    for (const frame of frames.splice(0)) await new Promise<void>((resolve) => emulator.write(frame, resolve));
    const buffer = emulator.buffer.active;
    const shown = Array.from({ length: buffer.length }, (_, index) => buffer.getLine(index)?.translateToString(true) ?? '');
    while (shown.at(-1) === '') shown.pop();
    return shown;
  };
  return { out, lines, written: () => written, resize: (to: number) => { emulator.resize(to, rows); out.columns = to; } };
}

const anyProgress = fc.tuple(fc.nat(1e7), fc.nat(1e7), fc.nat(1e7), fc.nat(1e7), fc.nat(1e7))
  .map(([done, unchanged, failed, skipped, rest]) => progress(done + unchanged + failed + skipped + rest, { done, unchanged, failed, skipped }));

describe('the bar', () => {
  test('is always as wide as asked, and full only when nothing remains', () => {
    fc.assert(fc.property(anyProgress, fc.integer({ min: 4, max: 60 }), (shown, width) => {
      const text = barSpans(shown, width).map((span) => span.text).join('');
      expect(text).toHaveLength(width);
      expect(text.includes('░')).toBe(shown.remaining !== 0);
    }));
  });

  test('no line is wider than the terminal, whatever the sheet is called', () => {
    fc.assert(fc.property(anyProgress, fc.string({ unit: 'grapheme' }), fc.integer({ min: 20, max: 120 }), (shown, title, width) => {
      for (const line of jobLines(job({ state: 'running', progress: shown }), title, width, new Date())) {
        expect(stringWidth(paintLine(line, width, (_style, text) => text))).toBeLessThanOrEqual(width);
      }
    }));
  });

  const plain = (shown: JobAnswer, now = new Date('2026-11-23T10:00:20Z')): string =>
    jobLines(shown, 'orders.csv', 79, now).map((line) => line.map(({ text }) => text).join('')).join('\n');

  test('says counts, pace and time left of a running job', () => {
    expect(plain(job({ state: 'running', progress: progress(20_000, { done: 10_200, failed: 140, unchanged: 300 }, { itemsPerSecond: 812.3, etaSeconds: 12 }) }))).toBe([
      'orders.csv',
      'running    █████████████████████░░░░░░░░░░░░░░░░░░░  53.2 %  of 20,000 rows',
      'done 10,200  unchanged 300  failed 140  skipped 0  remaining 9,360',
      '812 rows/s  about 12 s left',
    ].join('\n'));
  });

  test('says why a waiting job waits and until when', () => {
    const waiting = job({ state: 'waiting', cause: 'dependency', until: '2026-11-23T10:05:20Z', reason: 'Job 01OTHER is on this sheet.' });
    expect(plain(waiting)).toContain('waits for another job, until in 5 min  Job 01OTHER is on this sheet.');
    expect(plain(job({ state: 'queued', until: '2026-11-23T10:05:20Z' }))).toContain('starts in 5 min');
  });

  test('never makes up a total that is not known', () => {
    const text = plain(job({ state: 'running', startedAt: '2026-11-23T10:00:05.000Z', progress: { ...job().progress, stage: 'snapshot' } }));
    expect(text).toContain('reads the sheet, for 15 s');
    expect(text).not.toContain('%');
  });
});

describe('the painter', () => {
  test('replaces its own lines and leaves those above alone', async () => {
    const screen = screenOf(40);
    screen.out.write('$ sheaf\n');
    const painter = openPainter(screen.out);
    painter.paint(['one', 'a longer second line', 'three']);
    painter.paint(['ONE', 'short']);
    expect(await screen.lines()).toEqual(['$ sheaf', 'ONE', 'short']);
    painter.clear();
    expect(await screen.lines()).toEqual(['$ sheaf']);
  });

  test('finds its lines again after the terminal became narrower', async () => {
    const screen = screenOf(40);
    screen.out.write('$ sheaf\n');
    const painter = openPainter(screen.out);
    painter.paint(['x'.repeat(39), 'y'.repeat(30)]);
    await screen.lines();
    screen.resize(20);
    painter.paint(['x'.repeat(19), 'done']);
    expect(await screen.lines()).toEqual(['$ sheaf', 'x'.repeat(19), 'done']);
  });

  test('writes nothing when nothing changed', async () => {
    const screen = screenOf(40);
    const painter = openPainter(screen.out);
    painter.paint(['same']);
    await screen.lines();
    painter.paint(['same']);
    expect(screen.written()).toBe(1);
  });
});

describe('watching', () => {
  let api: ScriptedApi | undefined;
  afterEach(async () => api?.close());

  /** Serves the answers in turn, the last for ever. */
  async function serve(answers: (JobAnswer | Answer)[]): Promise<void> {
    let next = 0;
    api = await scriptedApi(() => {
      const answer = answers[Math.min(next, answers.length - 1)];
      next += 1;
      return answer !== undefined && 'id' in answer ? { json: answer } : answer;
    });
  }
  const client = () => createClient({ url: api?.url ?? '' });
  const half = job({ state: 'running', progress: progress(10, { done: 5 }) });
  const ended = job({
    state: 'completed', startedAt: '2026-11-23T10:00:00.000Z', completedAt: '2026-11-23T10:00:24.000Z',
    progress: progress(10, { done: 9, failed: 1 }), errors: [{ code: 'handler_error', rows: 1 }],
  });

  async function textOf(json: boolean): Promise<string> {
    const out = new PassThrough();
    await watchJob(client(), '01JOB', openTerminal(json, out, out));
    return String(out.read() ?? '');
  }

  test('prints one line a change where the output is no terminal', async () => {
    await serve([job(), job(), half, half, ended]);
    const lines = (await textOf(false)).trim().split('\n').map((line) => line.replace(/^\d\d:\d\d:\d\d  /, '').replace(/ {2,}/g, '  '));
    expect(lines).toEqual([
      'queued',
      'running  50.0 % of 10 rows  done 5  unchanged 0  failed 0  skipped 0  remaining 5',
      'completed  100.0 % of 10 rows  done 9  unchanged 0  failed 1  skipped 0  remaining 0',
    ]);
  });

  test('prints each change as a line of JSON with --json', async () => {
    await serve([job(), half, half, ended]);
    const lines = (await textOf(true)).trim().split('\n').map((line) => JSON.parse(line) as JobAnswer);
    expect(lines.map(({ state, progress: { done } }) => [state, done])).toEqual([['queued', 0], ['running', 5], ['completed', 9]]);
  });

  test('a terminal holds the outcome alone in the end, and nothing of the bar', async () => {
    await serve([half, half, ended]);
    const screen = screenOf(60);
    const terminal = openTerminal(false, screen.out, screen.out);
    const last = await watchJob(client(), '01JOB', terminal);
    if (last !== null) printOutcome(terminal, last);
    expect(await screen.lines()).toEqual([
      'completed  10 rows in 24 s', 'done 9  unchanged 0  failed 1  skipped 0  remaining 0', 'failed by code: handler_error 1',
    ]);
  });

  test('goes on when the API breaks off and comes back, and says so', async () => {
    await serve([half, { breaks: true }, problem(503, 'store_unavailable', 'The store cannot be reached.'), ended]);
    const text = await textOf(false);
    expect(text).toContain('does not answer; the job goes on');
    expect(text).toContain('The API answers again.');
    expect(text).toContain('completed');
  });

  test('ends at once when there is no such job, or no API', async () => {
    await serve([problem(404, 'job_not_found', 'There is no job 01JOB.')]);
    await expect(textOf(false)).rejects.toMatchObject({ problem: { code: 'job_not_found' } });
    await api?.close();
    await expect(textOf(false)).rejects.toMatchObject({ problem: { code: 'api_unreachable' } });
  });

  test('answers null when it is told to stop, without a word to the job', async () => {
    await serve([half]);
    const stop = new AbortController();
    const out = new PassThrough();
    out.once('data', () => stop.abort());
    expect(await watchJob(client(), '01JOB', openTerminal(false, out, out), { signal: stop.signal })).toBeNull();
    expect(new Set(api?.asked.map(({ method }) => method))).toEqual(new Set(['GET']));
  });

  test("an error that quotes the sheet's headers cannot steer the terminal", () => {
    const out = new PassThrough();
    printOutcome(openTerminal(false, out, out), job({ state: 'failed', error: { code: 'key_column_missing', message: 'Its columns are a\u001b[2J\nb.' } }));
    expect(String(out.read())).toBe('failed\nkey_column_missing: Its columns are a[2J↵b.\n');
  });

  test('a job succeeded only when every row got through', () => {
    expect(succeeded(ended)).toBe(false);
    expect(succeeded(job({ state: 'completed', progress: progress(3, { done: 2, skipped: 1 }) }))).toBe(true);
    expect(succeeded(job({ state: 'cancelled', progress: progress(3, { done: 2 }) }))).toBe(false);
  });
});

/** `sheaf system top`: the status again and again. Redrawn on a terminal, one after the other elsewhere, NDJSON with `--json`. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { SystemAnswer } from '../contracts/system-api.ts';
import { Unreachable } from './client.ts';
import { type Context, contextOf } from './context.ts';
import { EXIT } from './failure.ts';
import { timeOfDay } from './format.ts';
import { openPainter } from './progress-bar.ts';
import { statusLines } from './system-status.ts';

const EVERY_MS = 2_000;
/** Where a terminal does not say. */
const ROWS = 24;

export function addTop(system: Command): void {
  system.command('top')
    .description('the status, live: jobs, queue, workers, task queues')
    .addHelpText('after', '\nCtrl-C ends it. With --json, or where the output is no terminal, one status follows the other.')
    .action(async (_options: object, command: Command) => {
      await follow(contextOf(command));
      process.exitCode = EXIT.interrupted;
    });
}

/** Until Ctrl-C. An API that restarts is waited for; one that has never answered is an error. */
async function follow(context: Context): Promise<void> {
  const { client, terminal, signal } = context;
  const show = terminal.json ? jsonView(context) : terminal.width() === null ? textView(context) : liveView(context);
  let answered = false;
  while (!signal.aborted) {
    try {
      show(await client.call<SystemAnswer>('GET', '/system/status', { signal }));
      answered = true;
    } catch (error) {
      if (signal.aborted) return;
      if (!answered || !(error instanceof Unreachable)) throw error;
      show(null);
    }
    await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Null: the API does not answer. */
type View = (status: SystemAnswer | null) => void;

const AWAY = 'The API does not answer; it is asked again.';

function liveView({ client, terminal }: Context): View {
  const painter = openPainter(terminal.out);
  let lines: string[] = [];
  return (status) => {
    // One line stays free, for the cursor.
    if (status !== null) lines = statusLines(status, client.url, terminal, Math.max(4, (terminal.out.rows || ROWS) - 1));
    painter.paint(status === null ? [...lines.slice(0, -1), terminal.paint('yellow', AWAY)] : lines);
  };
}

function textView({ client, terminal }: Context): View {
  return (status) => {
    terminal.print(`── ${timeOfDay(new Date())} ──`);
    for (const line of status === null ? [AWAY] : statusLines(status, client.url, terminal, null)) terminal.print(line);
    terminal.print('');
  };
}

function jsonView({ terminal }: Context): View {
  return (status) => {
    if (status !== null) terminal.print(JSON.stringify({ at: new Date().toISOString(), ...status }));
  };
}

/** What ends a command: an error body for people and scripts, and the exit code. Never a stack. */
import type { ErrorBody } from '../contracts/errors.ts';
import { printable } from './format.ts';
import type { Terminal } from './terminal.ts';

export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** An RFC 9457 problem as the API answers it, or one of the same shape that the CLI itself found. */
export interface Problem extends ErrorBody {
  status?: number;
  /** The answer's id, which the server's log has too. */
  instance?: string;
  /** What is wrong with each field of the request. */
  errors?: { path: string; message: string }[];
}

export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly problem: Problem;
  readonly exitCode: number;

  constructor(problem: Problem, exitCode: number = EXIT.failed, cause?: unknown) {
    super(problem.message, { cause });
    this.problem = problem;
    this.exitCode = exitCode;
  }
}

/** The command line is wrong: exit code 2. */
export function wrongUsage(message: string, remedy?: string): CommandFailure {
  return new CommandFailure({ code: 'wrong_usage', message, ...(remedy !== undefined && { remedy }) }, EXIT.usage);
}

/** What to do in words of this command line, where the API's remedy speaks of requests. */
const REMEDIES: Record<string, string> = {
  job_not_found: '`sheaf job list` shows the jobs that there are.',
  document_not_found: '`sheaf doc list` shows the documents that there are.',
  not_ready: '`sheaf job show` or `sheaf doc status` says how it is.',
  invalid_request: '--help describes every option.',
};

/** `error: …`, where, and what to do; with `--json` the problem itself. Both on stderr, so that stdout holds results only. */
export function printFailure(terminal: Terminal, failure: CommandFailure): void {
  const { problem } = failure;
  if (terminal.json) {
    terminal.err.write(`${JSON.stringify(problem)}\n`);
    return;
  }
  const lines = [`${terminal.paintErr('red', 'error:')} ${printable(problem.message)}`];
  // The message names the first five.
  for (const { path, message } of problem.errors?.slice(5) ?? []) lines.push(`  ${printable(`${path}: ${message}`)}`);
  const place = Object.entries(problem.place ?? {}).filter(([, value]) => !problem.message.includes(String(value)));
  if (place.length > 0) lines.push(`  at ${printable(place.map(([name, value]) => `${name} ${value}`).join(', '))}`);
  const remedy = REMEDIES[problem.code] ?? problem.remedy;
  if (remedy !== undefined) lines.push(`  ${printable(remedy)}`);
  if (problem.code === 'internal' && problem.instance !== undefined) lines.push(`  ${problem.instance}`);
  terminal.err.write(`${lines.join('\n')}\n`);
}

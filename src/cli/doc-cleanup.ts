/** `sheaf doc cleanup`: documents by age, tag and state, deleted by a workflow that this command follows. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { BulkAnswer } from '../contracts/documents-bulk-api.ts';
import { JOB_STATES } from '../contracts/job.ts';
import { contextOf } from './context.ts';
import { wrongUsage } from './failure.ts';
import { bytes, count, printable } from './format.ts';
import { printFacts } from './table.ts';

const EVERY_MS = 500;

interface CleanupOptions {
  olderThan: number;
  tag?: string;
  state?: string[];
  dryRun: boolean;
}

function days(text: string): number {
  const [, number] = /^(\d+(?:\.\d+)?)d?$/.exec(text) ?? [];
  if (number === undefined) throw wrongUsage(`${printable(text)} is no number of days.`, 'Give --older-than 90d.');
  return Number(number);
}

export function addCleanup(doc: Command): void {
  doc.command('cleanup')
    .description('delete documents by age, tag and state; it goes on when this command is ended')
    .requiredOption('--older-than <days>', 'uploaded longer ago than so many days: 90d', days)
    .option('--tag <tag>', 'only those with this tag')
    .addOption(new Option('--state <states...>', 'only those in one of these states').choices([...JOB_STATES]))
    .option('--dry-run', 'only count them', false)
    .action(async ({ olderThan, tag, state, dryRun }: CleanupOptions, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const { id } = await client.call<{ id: string }>('POST', '/documents/bulk/cleanup', {
        body: { older_than_days: olderThan, dry_run: dryRun, ...(tag !== undefined && { tag }), ...(state !== undefined && { state }) }, signal,
      });
      const ask = (): Promise<BulkAnswer> => client.call<BulkAnswer>('GET', `/documents/bulk/${id}`, { signal });
      let report = await ask();
      for (; !report.done; report = await ask()) await sleep(EVERY_MS, undefined, { signal });
      if (terminal.json) return terminal.printJson(report);
      printFacts(terminal, [
        ['found', count(report.found)],
        [dryRun ? 'would delete' : 'deleted', count(report.taken)],
        ['of bytes', bytes(report.bytes)],
        ['not', Object.entries(report.refused).map(([code, number]) => `${number} (${code})`).join(', ') || null],
      ]);
    });
}

/** `sheaf job plan`: what a job would do and cost, without making it. */
import type { Command } from 'commander';
import type { ForecastAnswer } from '../contracts/forecast-api.ts';
import { contextOf } from './context.ts';
import { count, duration, money } from './format.ts';
import { atLeastOne, jobOptions, jobRequest, type CreateOptions } from './job-create.ts';
import { forgetUpload, withSheetFile } from './sheet-file.ts';
import { printFacts } from './table.ts';
import type { Terminal } from './terminal.ts';

export function addJobPlan(job: Command): void {
  jobOptions(job.command('plan <sheet>'))
    .description('what a job would do and cost, without making it; nothing is paid for but the sample')
    .option('--sample <n>', 'handle, and pay for, so many rows, to tell better what the others would take (at most 100)', atLeastOne)
    .action(async (file: string, { sample, ...options }: CreateOptions & { sample?: number }, command: Command) => {
      const context = contextOf(command);
      const { client, terminal, signal } = context;
      const plan = await withSheetFile(context, file, options, async (source) => {
        try {
          return await client.call<ForecastAnswer>('POST', '/jobs/plan', { body: { source, ...jobRequest(options), ...(sample !== undefined && { sample }) }, signal });
        } finally {
          await forgetUpload(client, source);
        }
      });
      if (terminal.json) terminal.printJson(plan);
      else printPlan(terminal, plan);
    });
}

const about = (value: number, text: (value: number) => string): string => (value === 0 ? '0' : `about ${text(value)}`);

const BASES = { sample: 'by the sample', length: 'by the length of what would be asked; --sample tells it better' };

function printPlan(terminal: Terminal, { rows, toDo, unchanged, failed, skipped, refused, cached, tokens, cost, basis, requests, least, sample }: ForecastAnswer): void {
  const some = (value: number): string | null => (value === 0 ? null : count(value));
  printFacts(terminal, [
    ['rows', count(rows)],
    ['to do', count(toDo)],
    ['without paying', some(cached)],
    ['unchanged', some(unchanged)],
    ['failed for good', some(failed)],
    ['blank', some(skipped)],
    ['without a key of their own', some(refused)],
    ['tokens', tokens === null ? 'nobody can tell' : about(tokens, count)],
    ['cost', cost === null ? 'nobody can tell' : `${about(cost, money)}${basis === null ? '' : `, ${BASES[basis]}`}`],
    ['requests', requests === null ? 'nobody can tell' : some(requests)],
    ['time', least === null ? null : `at least ${duration(least.seconds)}, by ${least.limit}`],
    ['sample', sample === null ? null : `${count(sample.rows)} rows${sample.failed > 0 ? `, ${count(sample.failed)} failed` : ''}${sample.cost === null ? '' : `, paid ${money(sample.cost)}`}`],
  ]);
}

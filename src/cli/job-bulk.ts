/** `sheaf job bulk ACTION`: one action on all jobs that match. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { JOB_STATES, PRIORITIES } from '../contracts/job.ts';
import { BULK_ACTIONS } from '../contracts/plans.ts';
import type { BulkAnswer, BulkResultAnswer } from '../contracts/plans-api.ts';
import { listUpTo } from './client.ts';
import { type Context, contextOf } from './context.ts';
import { EXIT, wrongUsage } from './failure.ts';
import { count } from './format.ts';
import { collectState } from './job-arguments.ts';
import { collect } from './job-create.ts';
import { printTable } from './table.ts';

interface BulkOptions {
  state?: string[];
  source?: string;
  tag?: string;
  batch?: string;
  priority?: string;
  code?: string[];
  dryRun?: boolean;
  yes?: boolean;
  idempotencyKey?: string;
}

const POLL_MS = 300;
/** Results that are printed; the API has all. */
const MOST_SHOWN = 1_000;

export function addJobBulk(job: Command): void {
  job.command('bulk <action>')
    .description(`do something to all jobs that match: ${BULK_ACTIONS.join(', ')}`)
    .addOption(new Option('--state <state>', `only jobs in this state (repeatable): ${JOB_STATES.join(', ')}`).argParser(collectState))
    .option('--source <id>', 'only jobs on this source')
    .option('--tag <tag>', 'only jobs with this tag')
    .option('--batch <id>', 'only jobs of this batch')
    .addOption(new Option('--priority <priority>', 'for set').choices([...PRIORITIES]))
    .option('--code <code>', 'for retry: only rows that failed with this code (repeatable)', collect)
    .option('--dry-run', 'say what would become of each job, and do nothing')
    .option('--yes', 'delete without asking for --dry-run first')
    .option('--idempotency-key <key>', 'repeating the command with this key does it once')
    .addHelpText('after', '\nExit code 0 when no job failed to be changed. Ctrl-C ends the watching, not the action.')
    .action(async (action: string, options: BulkOptions, command: Command) => {
      if (!(BULK_ACTIONS as readonly string[]).includes(action)) throw wrongUsage(`There is no action ${action}.`, `There are ${BULK_ACTIONS.join(', ')}.`);
      const { state, source, tag, batch, priority, code, dryRun = false, yes, idempotencyKey } = options;
      if (action === 'delete' && !dryRun && !yes) throw wrongUsage('Deleting many jobs is for good.', 'Look with --dry-run first, then give --yes.');
      const context = contextOf(command);
      const given = { state, source, tag, batch };
      const begun = await context.client.call<BulkAnswer>('POST', '/jobs/batch', {
        body: {
          action, dryRun, filter: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
          ...(priority !== undefined && { priority }), ...(code !== undefined && { codes: code }),
        },
        headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
        signal: context.signal,
      });
      await follow(context, begun);
    });
}

async function follow(context: Context, begun: BulkAnswer): Promise<void> {
  const { client, terminal, signal } = context;
  let now = begun;
  while (now.state === 'running') {
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) {
      terminal.note(`Stopped watching; ${begun.id} goes on.`);
      process.exitCode = EXIT.interrupted;
      return;
    }
    now = await client.call<BulkAnswer>('GET', `/jobs/batch/${begun.id}`, { signal });
  }
  const results = await listUpTo<BulkResultAnswer>(client, `/jobs/batch/${now.id}/results`, MOST_SHOWN, { signal });
  process.exitCode = now.counts.failed > 0 ? EXIT.failed : EXIT.ok;
  if (terminal.json) return terminal.printJson({ ...now, results: results.items });
  if (results.items.length === 0) return terminal.note('No job matched.');
  printTable(
    terminal,
    [{ title: 'job' }, { title: now.dryRun ? 'would be' : 'outcome' }, { title: 'state' }, { title: 'why', shrinks: true }],
    results.items.map(({ job, outcome, state, message }) => [job, outcome, state ?? 'gone', message ?? '']),
  );
  const { done, asked, skipped, failed } = now.counts;
  terminal.note(`${now.dryRun ? 'Nothing was changed. ' : ''}${now.action}: ${count(done)} done, ${count(asked)} asked, ${count(skipped)} skipped, ${count(failed)} failed.`);
  if (results.nextCursor !== null) terminal.note(`There are more: GET ${now.links.results}`);
}

/** `sheaf sync …`: sources of a YAML file, made so and kept so. */
import type { Command } from 'commander';
import type { AppliedAnswer, SourceAnswer, SourcesCleanupAnswer, VersionAnswer } from '../contracts/source-api.ts';
import { DEFAULT_TASK_HOURS } from '../contracts/source.ts';
import type { JobAnswer } from '../contracts/job-api.ts';
import { listUpTo } from './client.ts';
import type { Context } from './context.ts';
import { EXIT } from './failure.ts';
import { count, when } from './format.ts';
import { atLeastOne, hours } from './job-create.ts';
import { addSyncData } from './sync-data.ts';
import type { ListedSource } from './sync-file.ts';
import { addSyncRuns } from './sync-runs.ts';
import { inPool, problemOf, sourcePath, syncContext, type SyncOptions } from './sync-context.ts';
import { printTable } from './table.ts';
import { watchToEnd } from './watch.ts';

/** Definitions sent at once. */
const AT_ONCE = 8;

export function addSyncCommands(program: Command): void {
  const sync = program.command('sync').description('sources that keep themselves in sync, listed in a YAML file');
  addDiff(sync);
  addApply(sync);
  addSyncRuns(sync);
  addSyncData(sync);
  addVersions(sync);
  addRollback(sync);
  addCleanup(sync);
}

interface Plan {
  id: string;
  change: 'created' | 'updated' | 'unchanged' | 'deleted' | 'left' | 'failed';
  fields: string[];
  error?: { code: string; message: string };
}

const ask = ({ client, signal }: Context, { id, body }: ListedSource, dryRun: boolean): Promise<AppliedAnswer> =>
  client.call<AppliedAnswer>('PUT', sourcePath(id), { body: { ...body, scheduled: body.schedule !== null }, query: { dryRun: dryRun || undefined }, signal });

/** What becomes of each source of the file; one that is refused is told, and the others go on. */
async function carryOut(context: Context, sources: ListedSource[], dryRun: boolean): Promise<Plan[]> {
  return inPool(sources, AT_ONCE, async (source) => {
    try {
      const { changed, fields } = await ask(context, source, dryRun);
      return { id: source.id, change: changed, fields };
    } catch (error) {
      return { id: source.id, change: 'failed', fields: [], error: problemOf(error) };
    }
  });
}

/** Sources that the file has named before and names no more, in this environment. */
async function unnamed({ client, signal }: Context, sources: ListedSource[]): Promise<SourceAnswer[]> {
  const first = sources[0]?.body;
  if (!first) return [];
  const { items } = await listUpTo<SourceAnswer>(client, '/sources', Infinity, { signal });
  return items.filter(({ id, set, environment, deleting }) =>
    !deleting && set === first.set && environment === first.environment && !sources.some((source) => source.id === id));
}

function printPlans({ terminal }: Context, plans: Plan[], verbs: Record<Plan['change'], string>): void {
  if (terminal.json) return terminal.printJson({ sources: plans });
  const styles = { created: 'green', updated: 'yellow', unchanged: 'dim', deleted: 'red', left: 'dim', failed: 'red' } as const;
  for (const { id, change, fields, error } of plans) {
    terminal.print(`${terminal.paint(styles[change], verbs[change].padEnd(14))}  ${id}${fields.length > 0 ? `  (${fields.join(', ')})` : ''}${error ? `  ${error.message}` : ''}`);
  }
}

function addDiff(sync: Command): void {
  sync.command('diff <file>')
    .description('what `apply` would do')
    .option('--environment <name>', 'of the environments that the file names')
    .option('--prune', 'delete sources that the file names no more')
    .action(async (file: string, options: SyncOptions & { prune?: boolean }, command: Command) => {
      const { context, sources } = await syncContext(command, file, options);
      const gone = await unnamed(context, sources);
      const plans = [...(await carryOut(context, sources, true)), ...gone.map(({ id }): Plan => ({ id, change: options.prune ? 'deleted' : 'left', fields: [] }))];
      printPlans(context, plans, { created: 'would create', updated: 'would update', unchanged: 'unchanged', deleted: 'would delete', left: 'not in the file', failed: 'is refused' });
      if (plans.some(({ change }) => change === 'failed')) process.exitCode = EXIT.failed;
    });
}

function addApply(sync: Command): void {
  sync.command('apply <file>')
    .description('make sources and their schedules what the file says; again, it changes nothing')
    .option('--environment <name>', 'of the environments that the file names')
    .option('--prune', 'delete sources that the file names no more, with all that is stored of them')
    .action(async (file: string, options: SyncOptions & { prune?: boolean }, command: Command) => {
      const { context, sources } = await syncContext(command, file, options);
      const plans = await carryOut(context, sources, false);
      for (const { id } of await unnamed(context, sources)) {
        if (options.prune) await context.client.call('DELETE', sourcePath(id), { signal: context.signal });
        plans.push({ id, change: options.prune ? 'deleted' : 'left', fields: [] });
      }
      printPlans(context, plans, { created: 'created', updated: 'updated', unchanged: 'unchanged', deleted: 'deleted', left: 'not in the file', failed: 'failed' });
      if (plans.some(({ change }) => change === 'left')) context.terminal.note('Sources that the file names no more stay; --prune deletes them.');
      if (plans.some(({ change }) => change === 'failed')) process.exitCode = EXIT.failed;
    });
}

function addVersions(sync: Command): void {
  sync.command('versions <source>')
    .description('versions of a source, the newest first')
    .option('--limit <n>', 'at most so many', atLeastOne, 20)
    .option('--environment <name>', 'of the file given by --config')
    .option('--config <file>', 'the YAML file that has the environment')
    .action(async (source: string, options: SyncOptions & { limit: number }, command: Command) => {
      const { context: { client, terminal, signal } } = await syncContext(command, null, options);
      const found = await listUpTo<VersionAnswer>(client, sourcePath(source, '/versions'), options.limit, { signal });
      if (terminal.json) return terminal.printJson(found);
      if (found.items.length === 0) return terminal.note('No version yet.');
      printTable(
        terminal,
        [{ title: 'version' }, { title: 'hash' }, { title: 'state' }, { title: 'fetched' }, { title: 'rows', align: 'right' }, { title: 'added', align: 'right' },
          { title: 'changed', align: 'right' }, { title: 'moved', align: 'right' }, { title: 'removed', align: 'right' }, { title: 'columns', shrinks: true }],
        found.items.map(({ sequence, hash, state, current, fetchedAt, rows, counts, newColumns, lostColumns }) => [
          `${sequence}${current ? ' *' : ''}`, hash.slice(0, 10), state, when(fetchedAt), count(rows), count(counts.added), count(counts.changed), count(counts.moved), count(counts.removed),
          [...newColumns.map((name) => `+${name}`), ...lostColumns.map((name) => `-${name}`)].join(' '),
        ]),
      );
    });
}

function addRollback(sync: Command): void {
  sync.command('rollback <source>')
    .description('make an earlier version the current one')
    .requiredOption('--to <version>', 'its content hash, the beginning of it, or its number: `sheaf sync versions`')
    .option('--environment <name>', 'of the file given by --config')
    .option('--config <file>', 'the YAML file that has the environment')
    .option('--wait', 'watch it to its end')
    .action(async (source: string, options: SyncOptions & { to: string; wait?: boolean }, command: Command) => {
      const { context } = await syncContext(command, null, options);
      const job = await context.client.call<JobAnswer>('POST', sourcePath(source, '/rollback'), { body: { to: options.to }, signal: context.signal });
      if (options.wait) return watchToEnd(context, job.id);
      if (context.terminal.json) return context.terminal.printJson(job);
      context.terminal.print(job.id);
      context.terminal.note(`Follow it: npx sheaf job watch ${job.id}`);
    });
}

function addCleanup(sync: Command): void {
  sync.command('cleanup')
    .description('remove finished task records, and versions beyond what their sources keep')
    .option('--max-age-hours <hours>', 'tasks that ended longer ago', hours, DEFAULT_TASK_HOURS)
    .option('--environment <name>', 'only sources that were applied to it')
    .option('--config <file>', 'the YAML file that has the environment')
    .option('--dry-run', 'only count')
    .action(async (options: SyncOptions & { maxAgeHours: number; dryRun?: boolean }, command: Command) => {
      const { context: { client, terminal, signal } } = await syncContext(command, null, options);
      const body = { maxAgeHours: options.maxAgeHours, environment: options.environment ?? null, dryRun: options.dryRun ?? false };
      const report = await client.call<SourcesCleanupAnswer>('POST', '/sources/cleanup', { body, signal });
      if (terminal.json) return terminal.printJson(report);
      terminal.print(`${options.dryRun ? 'Would remove' : 'Removed'} ${count(report.jobs)} tasks and ${count(report.versions)} versions of ${count(report.sources)} sources.`);
    });
}

/** `sheaf sync data|diff-versions`: what is stored of a source, and how its versions differ. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import type { ItemAnswer } from '../contracts/items-api.ts';
import type { SourceAnswer } from '../contracts/source-api.ts';
import type { Cell } from '../contracts/row.ts';
import type { Context } from './context.ts';
import { wrongUsage } from './failure.ts';
import { atLeastOne } from './job-create.ts';
import { sourcePath, syncContext, type SyncOptions } from './sync-context.ts';
import { printTable } from './table.ts';

/** Rows in a table unless more are asked for. */
const ROWS_SHOWN = 20;

const bodyOf = ({ body }: Response): Readable => (body === null ? Readable.from([]) : Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]));

async function* linesOf<T>(response: Response): AsyncGenerator<T> {
  for await (const line of createInterface({ input: bodyOf(response), crlfDelay: Infinity })) if (line !== '') yield JSON.parse(line) as T;
}

export function addSyncData(sync: Command): void {
  addData(sync);
  addDiffVersions(sync);
}

function addData(sync: Command): void {
  sync.command('data <source>')
    .description('what is stored of a source: its current version, or any that is kept')
    .option('--content-hash <hash>', 'of the version with this content hash (or its beginning, or number)')
    .option('--limit <n>', 'rows at most', atLeastOne)
    .option('--environment <name>', 'that the source was applied to')
    .option('--config <file>', 'the YAML file that has the environment')
    .addOption(new Option('--format <format>', 'default: a table; with --json, JSON').choices(['table', 'json', 'ndjson', 'csv']))
    .action(async (source: string, options: SyncOptions & { contentHash?: string; limit?: number; format?: string }, command: Command) => {
      const { context } = await syncContext(command, null, options);
      const { client, terminal, signal } = context;
      await inEnvironment(context, source, options.environment);
      const format = terminal.json ? 'json' : (options.format ?? 'table');
      const limit = options.limit ?? (format === 'table' ? ROWS_SHOWN : undefined);
      const response = await client.open('GET', sourcePath(source, '/data'), { query: { version: options.contentHash, limit, format: format === 'csv' ? 'csv' : 'ndjson' }, signal });
      if (format === 'csv' || format === 'ndjson') return pipeline(bodyOf(response), terminal.out, { end: false, signal });
      const rows: ItemAnswer[] = [];
      for await (const row of linesOf<ItemAnswer>(response)) rows.push(row);
      if (format === 'json') return terminal.printJson({ items: rows });
      printRows(context, rows);
    });
}

/** Rows with the columns of the sheet and what became of them. */
function printRows({ terminal }: Context, rows: ItemAnswer[]): void {
  if (rows.length === 0) return terminal.note('No rows.');
  const columns = [...new Set(rows.flatMap(({ input }) => Object.keys(input)))];
  const text = (value: unknown): string => (value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value));
  printTable(
    terminal,
    [{ title: 'row', align: 'right' }, { title: 'state' }, ...columns.map((title) => ({ title, shrinks: true })), { title: 'output', shrinks: true }],
    rows.map(({ row, state, input, output }) => [String(row), state, ...columns.map((name) => text(input[name])), text(output)]),
  );
}

/** Without the file nobody knows where an environment is: the installation that is asked must be it. */
async function inEnvironment({ client, signal }: Context, source: string, environment: string | undefined): Promise<void> {
  if (environment === undefined) return;
  const { environment: its } = await client.call<SourceAnswer>('GET', sourcePath(source), { signal });
  if (its !== environment) throw wrongUsage(`The source ${source} was applied to ${its ?? 'no environment'} here, not to ${environment}.`, 'Say where it is: --config FILE, or --url.');
}

interface DiffLine {
  change: 'added' | 'removed' | 'changed' | 'moved';
  key: string | null;
  before: number | null;
  after: number | null;
  cells?: Record<string, Cell | { from: Cell; to: Cell }>;
}

const SIGNS = { added: '+', removed: '-', changed: '~', moved: '>' } as const;
const STYLES = { added: 'green', removed: 'red', changed: 'yellow', moved: 'cyan' } as const;

function addDiffVersions(sync: Command): void {
  sync.command('diff-versions <source>')
    .description('rows that one version has and another has not, or has otherwise')
    .option('--from <version>', 'number or content hash (default: the one before)')
    .option('--to <version>', 'number or content hash (default: the current one)')
    .option('--environment <name>', 'that the source was applied to')
    .option('--config <file>', 'the YAML file that has the environment')
    .action(async (source: string, options: SyncOptions & { from?: string; to?: string }, command: Command) => {
      const { context } = await syncContext(command, null, options);
      const { client, terminal, signal } = context;
      await inEnvironment(context, source, options.environment);
      const response = await client.open('GET', sourcePath(source, '/diff'), { query: { from: options.from, to: options.to }, signal });
      if (terminal.json) return pipeline(bodyOf(response), terminal.out, { end: false, signal });
      let any = false;
      for await (const { change, key, before, after, cells } of linesOf<DiffLine>(response)) {
        any = true;
        const where = key ?? `row ${after ?? before}`;
        const what = change === 'moved' ? `row ${before} → ${after}` : Object.entries(cells ?? {}).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${cellText(value)}`).join(', ');
        terminal.print(terminal.paint(STYLES[change], `${SIGNS[change]} ${where}  ${what}`));
      }
      if (!any) terminal.note('No row differs.');
    });
}

const cellText = (value: Cell | { from: Cell; to: Cell }): string =>
  (value !== null && typeof value === 'object' ? `${JSON.stringify(value.from)} → ${JSON.stringify(value.to)}` : JSON.stringify(value));

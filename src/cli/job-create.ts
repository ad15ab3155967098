/** `sheaf job create` and `sheaf job preview`: the command line becomes a request. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { JobAnswer } from '../contracts/job-api.ts';
import type { PreviewAnswer } from '../contracts/sheet-api.ts';
import { VALIDATION_LEVELS } from '../contracts/formats.ts';
import { DEFAULT_BREAKER, ON_FAILURE, PRIORITIES } from '../contracts/job.ts';
import type { Json } from '../contracts/row.ts';
import { DEFAULT_WEBHOOK_EVENTS, WEBHOOK_EVENTS } from '../contracts/webhooks.ts';
import { refuse } from './client.ts';
import { type Context, contextOf } from './context.ts';
import { wrongUsage } from './failure.ts';
import { printPreview } from './preview.ts';
import { forgetUpload, type GoogleOptions, withSheetFile } from './sheet-file.ts';
import { watchToEnd } from './watch.ts';

interface SheetOptions extends GoogleOptions {
  sheet?: string;
  range?: string;
  headerRow?: number;
  startRow?: number;
  numRows?: number;
  delimiter?: string;
  encoding?: string;
}

export interface CreateOptions extends SheetOptions {
  handler: string;
  option?: Record<string, Json>;
  options?: Record<string, Json>;
  key?: string[];
  source?: string;
  lane?: string;
  onDuplicateKey?: string;
  force?: boolean;
  format?: string;
  validation?: string;
  priority?: string;
  tag?: string[];
  concurrency?: number;
  fanOut?: 'workflow';
  maxCost?: number;
  breaker: number | boolean;
  idempotencyKey?: string;
  runAt?: string;
  after?: string[];
  onFailure?: string;
  writeBack?: Record<string, Json>;
  writeBackTab?: string;
  webhook?: string[];
  webhookSecret?: string;
  webhookEvents?: string[];
  wait?: boolean;
}

const wholeFrom = (least: number) => (text: string): number => {
  if (!/^\d+$/.test(text) || Number(text) < least) throw new InvalidArgumentError(`It must be a whole number from ${least}.`);
  return Number(text);
};
export const atLeastOne = wholeFrom(1);

export function hours(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) throw new InvalidArgumentError('It must be a number of hours from 0.');
  return value;
}

export function amount(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

export const collect = (value: string, before: string[] = []): string[] => [...before, value];

/** `name=value`; the value is JSON where it parses as JSON, else text. */
export function collectOption(text: string, before: Record<string, Json> = {}): Record<string, Json> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be name=value.');
  const value = text.slice(at + 1);
  let parsed: Json;
  try {
    parsed = JSON.parse(value) as Json;
  } catch {
    parsed = value;
  }
  return { ...before, [text.slice(0, at)]: parsed };
}

function optionsFrom(file: string): Record<string, Json> {
  let options: Json;
  try {
    options = JSON.parse(readFileSync(file, 'utf8')) as Json;
  } catch (error) {
    throw new InvalidArgumentError(error instanceof SyntaxError ? 'It is no JSON.' : 'It cannot be read.');
  }
  if (options === null || typeof options !== 'object' || Array.isArray(options)) throw new InvalidArgumentError('It must hold a JSON object.');
  return options;
}

function collectColumn(text: string, before: Record<string, Json> = {}): Record<string, Json> {
  const [, field, column] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (field === undefined || column === undefined) throw new InvalidArgumentError('It must be field=column.');
  return { ...before, [field]: column };
}

export function fraction(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0 && value <= 1)) throw new InvalidArgumentError('It must be a fraction above 0, up to 1, such as 0.3.');
  return value;
}

export function timeOf(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('It must be a time in ISO 8601, such as 2026-11-01T06:00.');
  return time.toISOString();
}

/** Shells make a tab hard to type. */
function delimiter(text: string): string {
  const meant = text === 'tab' || text === '\\t' ? '\t' : text;
  if (!['\t', ',', ';', '|'].includes(meant)) throw new InvalidArgumentError('It must be one of , ; | tab.');
  return meant;
}

function sheetOptions(command: Command): Command {
  return command
    .option('--sheet <sheet>', 'XLSX and Google Sheets: name or number of the sheet (default: the first visible one)')
    .option('--range <a1>', 'only this part, in A1 notation, such as B2:F100')
    .option('--header-row <n>', 'row that holds the column names; 0: there is none (default: the first)', wholeFrom(0))
    .option('--start-row <n>', 'first row of data (default: the one after the header)', atLeastOne)
    .option('--num-rows <n>', 'at most so many rows', atLeastOne)
    .option('--delimiter <d>', 'CSV: one of , ; | tab (default: found out)', delimiter)
    .addOption(new Option('--encoding <e>', 'CSV: its encoding (default: found out)').choices(['utf-8', 'utf-16le', 'utf-16be', 'windows-1252']))
    .option('--credentials <name>', 'Google Sheets: who reads it, by the name in SHEAF_CREDENTIALS (default: default, else ADC)')
    .option('--use-adc', 'Google Sheets: Application Default Credentials read it');
}

/** A number names a sheet by position, anything else by name. */
export function sheetRequest({ sheet, range, headerRow, startRow, numRows, delimiter, encoding }: SheetOptions): Record<string, Json> {
  const given = { sheet: sheet !== undefined && /^\d+$/.test(sheet) ? Number(sheet) : sheet, range, headerRow, startRow, numRows, delimiter, encoding };
  return Object.fromEntries(Object.entries(given).filter((entry): entry is [string, string | number] => entry[1] !== undefined));
}

/** The worker runs elsewhere: a module is named by its whole path. */
const handlerName = (handler: string): string =>
  /[\\/]|\.[cm]?[jt]s$/.test(handler) && existsSync(handler) ? path.resolve(handler) : handler;

export function jobRequest(options: CreateOptions): Record<string, Json> {
  const {
    handler, option, options: optionsFile, format, validation, key, source, lane, onDuplicateKey, force, priority, tag, concurrency, fanOut, maxCost, breaker, runAt, after, onFailure, writeBack, writeBackTab,
    webhook, webhookSecret, webhookEvents,
  } = options;
  if (writeBackTab !== undefined && writeBack === undefined) throw wrongUsage('--write-back-tab needs --write-back FIELD=COLUMN.');
  if ((webhook === undefined) !== (webhookSecret === undefined)) throw wrongUsage('--webhook URL and --webhook-secret NAME go together.');
  const given: Record<string, Json | undefined> = {
    handler: handlerName(handler),
    options: (optionsFile ?? option) && { ...optionsFile, ...option },
    keyColumns: key,
    sourceId: source,
    lane,
    onDuplicateKey,
    force,
    format,
    validation,
    priority,
    tags: tag,
    concurrency,
    fanOut,
    maxCost,
    runAt,
    dependsOn: after,
    onFailure,
    writeBack: writeBack && { columns: writeBack, ...(writeBackTab !== undefined && { tab: writeBackTab }) },
    webhooks: webhook?.map((url) => ({ url, secret: webhookSecret ?? null, ...(webhookEvents && { events: webhookEvents }) })),
    breaker: breaker === false ? false : typeof breaker === 'number' ? { ...DEFAULT_BREAKER, maxFailedFraction: breaker } : undefined,
  };
  const set = Object.entries(given).filter((entry): entry is [string, Json] => entry[1] !== undefined);
  return { ...sheetRequest(options), ...Object.fromEntries(set) };
}

/** The options that say what a job does with its sheet. */
export function jobOptions(command: Command): Command {
  return sheetOptions(command)
    .option('--handler <handler>', 'what is done to each row: a name, or a module such as ./my-handler.ts', 'store')
    .option('--option <name=value>', 'option of the handler; JSON where it parses as JSON (repeatable)', collectOption)
    .option('--options <file>', 'options of the handler from a JSON file; --option goes before', optionsFrom)
    .option('--format <format>', 'what rows have to hold: standard, or a name in SHEAF_FORMATS')
    .addOption(new Option('--validation <level>', 'rows that do not fit the format: the first fails the job, each fails, or is made to fit (default: moderate)').choices([...VALIDATION_LEVELS]))
    .option('--key <column>', 'column that names a row; without it the row number does (repeatable)', collect)
    .option('--source <id>', 'name of the sheet, so that a later file of the same name is an update')
    .option('--lane <lane>', "line of work on the sheet (default: the handler's name)")
    .addOption(new Option('--on-duplicate-key <what>', 'which of several rows with one key counts (default: fail)').choices(['fail', 'first', 'last']))
    .option('--force', 'handle rows again that are done already')
    .addOption(new Option('--priority <priority>', 'what is served first (default: normal)').choices([...PRIORITIES]))
    .option('--tag <tag>', 'to find the job by (repeatable)', collect)
    .option('--concurrency <n>', "rows handled at once (default: the handler's)", atLeastOne)
    .addOption(new Option('--fan-out <how>', 'every row a workflow of its own: for long, expensive rows').choices(['workflow']))
    .option('--max-cost <amount>', 'what the rows may cost together; the job waits when it is used up', amount)
    .option('--breaker <fraction>', `stop once more than this share of rows fails (default: ${DEFAULT_BREAKER.maxFailedFraction})`, fraction)
    .option('--no-breaker', 'never stop because of failed rows')
    .option('--write-back <field=column>', "Google Sheets: write this field of the output into that column (repeatable)", collectColumn)
    .option('--write-back-tab <tab>', 'write it into a tab of its own instead')
    .option('--webhook <url>', 'told of the job by signed requests (repeatable)', collect)
    .option('--webhook-secret <name>', 'name of the secret in SHEAF_SECRETS that they are signed with')
    .addOption(new Option('--webhook-events <event...>', `what is told (default: ${DEFAULT_WEBHOOK_EVENTS.join(', ')})`).choices(WEBHOOK_EVENTS))
    .option('--idempotency-key <key>', 'repeating the command with this key gives the same job');
}

/** Starts the job; a file goes by path or upload, whichever the API takes. */
export function createJob(context: Context, file: string, options: CreateOptions): Promise<JobAnswer> {
  const { sheaf, signal } = context;
  return withSheetFile(context, file, options, async (source) =>
    (await sheaf.createJob({ source, ...jobRequest(options) }, { idempotencyKey: options.idempotencyKey, signal }).catch(refuse)).created);
}

export function addJobCreate(job: Command): void {
  jobOptions(job.command('create <sheet>'))
    .description('start a job on a sheet: a CSV, TSV or XLSX file, or the address of a Google Sheet')
    .option('--run-at <time>', 'not before this time (ISO 8601; without a zone: local)', timeOf)
    .option('--after <job>', 'only when this job has completed (repeatable)', collect)
    .addOption(new Option('--on-failure <what>', 'when one of those fails, is cancelled or deleted (default: cancel)').choices([...ON_FAILURE]))
    .option('--wait', 'watch the job to its end; exit code 1 unless every row got through')
    .addHelpText('after', `
Examples:
  npx sheaf job create orders.csv --key order_id --wait
  npx sheaf job create tickets.xlsx --sheet Open --handler categorize --option 'categories={"billing":["invoice"],"bug":["crash"]}'
  npx sheaf job create 'https://docs.google.com/spreadsheets/d/…/edit#gid=0' --credentials team-bot --key id --handler categorize … --write-back category=Category`)
    .action(async (file: string, options: CreateOptions, command: Command) => {
      const context = contextOf(command);
      const { terminal } = context;
      const created = await createJob(context, file, options);
      if (options.wait !== true) {
        if (terminal.json) return terminal.printJson(created);
        terminal.print(created.id);
        terminal.note(`The job is ${created.state}. Follow it: npx sheaf job watch ${created.id}`);
        return;
      }
      await watchToEnd(context, created.id, `${created.file?.name ?? path.basename(file)}  ${created.handler}  ${created.id}`);
    });
}

export function addJobPreview(job: Command): void {
  sheetOptions(job.command('preview <sheet>'))
    .description('show how a sheet is read, without a job: columns, types, first rows, warnings')
    .action(async (file: string, options: SheetOptions, command: Command) => {
      const context = contextOf(command);
      const { client, terminal, signal } = context;
      const preview = await withSheetFile(context, file, options, async (source) => {
        try {
          return await client.call<PreviewAnswer>('POST', '/sources/preview', { body: { source, ...sheetRequest(options) }, signal });
        } finally {
          await forgetUpload(client, source);
        }
      });
      if (terminal.json) terminal.printJson(preview);
      else printPreview(terminal, preview);
    });
}

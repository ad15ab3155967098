/** The YAML file that lists sources: checked as a whole, every mistake with its line, before anything is asked of the API. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import { z } from 'zod';
import { tags } from '../contracts/job-api.ts';
import { PRIORITIES, type Priority } from '../contracts/job.ts';
import { DELETE_MODES, VERSIONING } from '../contracts/source.ts';
import { SOURCE_ID_PATTERN, type SourceDefinitionBody } from '../contracts/source-api.ts';
import { nearest } from '../domain/nearest.ts';
import { CommandFailure, EXIT, wrongUsage } from './failure.ts';

const json = z.unknown();
const column = z.string().min(1).max(200);

const spreadsheet = z.strictObject({
  url: z.string().min(1).exactOptional(),
  path: z.string().min(1).exactOptional(),
  sheet_name: z.union([z.string().min(1), z.int().min(1)]).exactOptional(),
  range: z.string().min(1).exactOptional(),
  use_adc: z.boolean().exactOptional(),
  credentials: z.string().min(1).exactOptional(),
});

const settings = z.strictObject({
  name: z.string().min(1).exactOptional(),
  description: z.string().exactOptional(),
  type: z.literal('spreadsheet', { error: 'expected "spreadsheet"' }).exactOptional(),
  spreadsheet_config: spreadsheet.exactOptional(),
  key_columns: z.array(column).exactOptional(),
  handler: z.union([z.string().min(1), z.strictObject({ name: z.string().min(1), options: z.record(z.string(), json).exactOptional() })], { error: 'expected a name, or name and options' }).exactOptional(),
  versioning_strategy: z.enum(VERSIONING).exactOptional(),
  fetch_strategy: z.enum(['async', 'sync']).exactOptional(),
  fetch_interval: z.int().min(10).exactOptional(),
  cron: z.string().min(1).exactOptional(),
  time_zone: z.string().min(1).exactOptional(),
  enabled: z.boolean().exactOptional(),
  priority: z.union([z.int().min(0), z.enum(PRIORITIES)], { error: `expected a number (1 is first) or one of ${PRIORITIES.join(', ')}` }).exactOptional(),
  tags: tags.exactOptional(),
  deletes: z.strictObject({ mode: z.enum(DELETE_MODES).exactOptional(), maxFraction: z.number().min(0).max(1).exactOptional(), max_fraction: z.number().min(0).max(1).exactOptional() }).exactOptional(),
  write_back: z.strictObject({ columns: z.record(z.string(), column), tab: z.string().min(1).exactOptional() }).exactOptional(),
  keep_versions: z.int().min(1).exactOptional(),
  on_duplicate_key: z.enum(['fail', 'first', 'last']).exactOptional(),
  max_cost: z.number().positive().max(1e9).exactOptional(),
});
const source = settings.extend({ id: z.string().regex(SOURCE_ID_PATTERN, 'expected letters, digits, ".", "_" and "-", at most 128: `name` may be in any script') });

const environment = z.strictObject({
  endpoint: z.url({ protocol: /^https?$/, error: 'expected an address such as http://host:8088' }).exactOptional(),
  tenant: z.string().exactOptional(),
  index_prefix: z.string().min(1).exactOptional(),
  /** What a source calls its credentials → what they are called there. */
  credentials: z.record(z.string(), z.string().min(1)).exactOptional(),
});

const fileSchema = z.strictObject({ defaults: settings.default({}), environments: z.record(z.string(), environment).default({}), sources: z.array(source) });

type Settings = z.output<typeof settings>;
type Source = z.output<typeof source>;
export type Environment = z.output<typeof environment>;

export interface SyncFile {
  sources: ListedSource[];
  environments: Record<string, Environment>;
}

export interface ListedSource {
  id: string;
  name: string | null;
  tags: string[];
  enabled: boolean;
  fetch: 'async' | 'sync';
  /** As `PUT /sources/{id}` takes it. */
  body: SourceDefinitionBody;
}

interface Mistake {
  line: number;
  message: string;
}

/** Rejects with wrong usage: the file is not there, is no YAML, or says what nobody understands. */
export async function readSyncFile(file: string, environmentName: string | undefined): Promise<SyncFile> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw wrongUsage(
      error.code === 'ENOENT' ? `There is no file ${file}.` : `The file ${file} cannot be read (${error.code ?? 'error'}).`,
      'Name the file that describes the sources, not a source.',
    );
  });
  return parseSyncFile(text, file, environmentName);
}

export function parseSyncFile(text: string, file: string, environmentName: string | undefined): SyncFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  refuse(file, [...document.errors, ...document.warnings].map(({ message, pos }) => ({ line: lines.linePos(pos[0]).line, message })));
  // As a bare list of sources, too.
  const asList = isSeq(document.contents);
  const given: unknown = asList ? { sources: document.toJS() as unknown } : document.toJS();
  const parsed = fileSchema.safeParse(given ?? {});
  if (!parsed.success) refuse(file, parsed.error.issues.flatMap((issue) => mistakesOf(issue, document, lines, asList)));
  const { defaults, environments, sources } = parsed.data!;
  const place = (index: number, ...rest: string[]): number => lineOf(document, lines, [...(asList ? [] : ['sources']), index, ...rest]);
  const mistakes: Mistake[] = [];
  const seen = new Map<string, number>();
  for (const [index, { id }] of sources.entries()) {
    const before = seen.get(id);
    if (before !== undefined) mistakes.push({ line: place(index, 'id'), message: `the id ${id} is that of the source in line ${before}, too` });
    else seen.set(id, place(index, 'id'));
  }
  if (environmentName !== undefined && !(environmentName in environments) && Object.keys(environments).length > 0) {
    const near = nearest(environmentName, Object.keys(environments));
    throw wrongUsage(`${file} has no environment ${environmentName}.`, near === null ? `It has ${Object.keys(environments).join(', ')}.` : `Did you mean ${near}?`);
  }
  const chosen = environmentName === undefined ? {} : (environments[environmentName] ?? {});
  const listed = sources.map((one, index) => {
    try {
      return listedSource(one, defaults, chosen, file, environmentName);
    } catch (error) {
      if (!(error instanceof Contradiction)) throw error;
      mistakes.push({ line: place(index, ...(error.field === null ? [] : [error.field])), message: `source ${one.id}: ${error.message}` });
      return null;
    }
  });
  refuse(file, mistakes);
  return { sources: listed.filter((one) => one !== null), environments };
}

/** Settings that are each right, and do not go together. */
class Contradiction extends Error {
  readonly field: string | null;

  constructor(field: string | null, message: string) {
    super(message);
    this.field = field;
  }
}

/** 1 is first; whatever is beyond 3 is last. */
const PRIORITY_NUMBERS: Priority[] = ['urgent', 'urgent', 'high', 'normal'];

function listedSource(given: Source, defaults: Settings, env: Environment, file: string, environmentName: string | undefined): ListedSource {
  // One of the two decides when it is fetched: what a source says itself.
  const { fetch_interval, cron, ...others } = defaults;
  const timing = given.fetch_interval === undefined && given.cron === undefined ? { ...(fetch_interval !== undefined && { fetch_interval }), ...(cron !== undefined && { cron }) } : {};
  const one = {
    ...others, ...timing, ...given,
    spreadsheet_config: { ...defaults.spreadsheet_config, ...given.spreadsheet_config }, deletes: { ...defaults.deletes, ...given.deletes },
  };
  const { url, path: local, sheet_name, range, use_adc, credentials } = one.spreadsheet_config;
  if (url === undefined && local === undefined) throw new Contradiction('spreadsheet_config', 'spreadsheet_config needs url or path');
  if (url !== undefined && local !== undefined) throw new Contradiction('spreadsheet_config', 'spreadsheet_config has url and path: give one of them');
  if (one.fetch_interval !== undefined && one.cron !== undefined) throw new Contradiction('cron', 'fetch_interval and cron are given: give one of them');
  if (credentials !== undefined && use_adc === true) throw new Contradiction('spreadsheet_config', 'credentials are named beside use_adc: give one of them');
  const priority = typeof one.priority === 'number' ? (PRIORITY_NUMBERS[one.priority] ?? 'low') : one.priority;
  const maxFraction = one.deletes.maxFraction ?? one.deletes.max_fraction;
  const fetch = one.fetch_strategy ?? 'async';
  const enabled = one.enabled ?? true;
  return {
    id: one.id, name: one.name ?? null, tags: one.tags ?? [], enabled, fetch,
    body: {
      source: url !== undefined
        ? { spreadsheet: url, ...(credentials !== undefined && { credentials: env.credentials?.[credentials] ?? credentials }), ...(use_adc === true && { useAdc: true }) }
        : { path: path.resolve(path.dirname(file), local!) },
      ...(sheet_name !== undefined && { sheet: sheet_name }), ...(range !== undefined && { range }),
      handler: one.handler ?? 'store', keyColumns: one.key_columns ?? [], tags: one.tags ?? [], enabled, fetch,
      name: one.name ?? null, description: one.description ?? null, set: path.basename(file), environment: environmentName ?? null,
      ...(priority !== undefined && { priority }),
      ...(one.versioning_strategy !== undefined && { versioning: one.versioning_strategy }),
      schedule: one.fetch_interval !== undefined ? { every: one.fetch_interval } : one.cron !== undefined ? { cron: one.cron, timeZone: one.time_zone ?? 'UTC' } : null,
      deletes: { ...(one.deletes.mode !== undefined && { mode: one.deletes.mode }), ...(maxFraction !== undefined && { maxFraction }) },
      ...(one.write_back && { writeBack: one.write_back }),
      ...(one.keep_versions !== undefined && { keepVersions: one.keep_versions }),
      ...(one.on_duplicate_key !== undefined && { onDuplicateKey: one.on_duplicate_key }),
      ...(one.max_cost !== undefined && { maxCost: one.max_cost }),
      ...(env.index_prefix !== undefined && { indexPrefix: env.index_prefix }),
    } as SourceDefinitionBody,
  };
}

function refuse(file: string, mistakes: Mistake[]): void {
  if (mistakes.length === 0) return;
  const errors = mistakes.toSorted((one, other) => one.line - other.line).map(({ line, message }) => ({ path: `${path.basename(file)}:${line}`, message }));
  const shown = errors.slice(0, 5).map((error) => `${error.path}: ${error.message}`).join('; ');
  throw new CommandFailure({ code: 'invalid_sync_file', message: errors.length > 5 ? `${shown}; and ${errors.length - 5} more` : shown, errors, remedy: 'Mend the file; nothing was done.' }, EXIT.usage);
}

/** A mistake for each key that is not known, with the one that was probably meant. */
function mistakesOf(issue: z.core.$ZodIssue, document: Document, lines: LineCounter, asList: boolean): Mistake[] {
  const at = (place: readonly PropertyKey[]): number => lineOf(document, lines, asList ? place.slice(1) : place);
  const field = issue.path.filter((part) => typeof part === 'string').join('.');
  if (issue.code !== 'unrecognized_keys') return [{ line: at(issue.path), message: `${field === '' ? '' : `${field}: `}${issue.message}` }];
  const known = knownKeys(issue.path);
  return issue.keys.map((key) => {
    const near = nearest(key, known);
    return { line: at([...issue.path, key]), message: `there is no ${key}${near === null ? `; known are ${known.join(', ')}` : `; did you mean ${near}?`}` };
  });
}

/** Of the object at that place of the file. */
function knownKeys(place: readonly PropertyKey[]): string[] {
  let schema: z.ZodType = fileSchema;
  for (const part of place) {
    while (schema instanceof z.ZodExactOptional || schema instanceof z.ZodDefault) schema = schema.unwrap() as z.ZodType;
    if (schema instanceof z.ZodObject) schema = schema.shape[String(part)] as z.ZodType;
    else if (schema instanceof z.ZodArray) schema = schema.element as z.ZodType;
    else if (schema instanceof z.ZodRecord) schema = schema.valueType as z.ZodType;
    else if (schema instanceof z.ZodUnion) schema = (schema.options as z.ZodType[]).find((option) => option instanceof z.ZodObject) ?? schema;
  }
  while (schema instanceof z.ZodExactOptional || schema instanceof z.ZodDefault) schema = schema.unwrap() as z.ZodType;
  if (schema instanceof z.ZodUnion) schema = (schema.options as z.ZodType[]).find((option) => option instanceof z.ZodObject) ?? schema;
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** Of the innermost thing on the way there that stands in the file; a key's own line where there is one. */
function lineOf(document: Document, lines: LineCounter, place: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let offset = isMap(node) || isSeq(node) ? (node as Node).range?.[0] ?? 0 : 0;
  for (const part of place) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === part);
      if (!pair) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else {
      break;
    }
  }
  return lines.linePos(offset).line;
}

/** What a request asks for becomes a job to be made, once all that it names is known to be there. */
import path from 'node:path';
import type { z } from 'zod';
import type { jobBody } from '../contracts/job-api.ts';
import { SheafError } from '../contracts/errors.ts';
import type { NewJob } from '../contracts/plans.ts';
import type { SheetOptions, SourceLocation, SpreadsheetLocation } from '../contracts/job.ts';
import { canonicalJson, digest } from '../domain/hashing.ts';
import { parseSpreadsheetAddress } from '../domain/spreadsheet-address.ts';
import { findHandler, parseOptions, resolveHandler } from '../handlers/index.ts';
import { readFormats, rulesOf } from '../formats.ts';
import { LimitReached } from '../limits/limits.ts';
import { localFile } from '../sources/files.ts';
import { locateSheet } from '../sources/locate.ts';
import type { FoundSheet } from '../sources/source.ts';
import type { Store } from '../store/store.ts';
import type { ApiContext } from './context.ts';
import { InvalidRequest } from './problem.ts';
import { readUpload } from './uploads.ts';

type JobBody = z.output<typeof jobBody>;

/** The same file uploaded again is the same request. */
export async function requestHash(deps: ApiContext, tenant: string, body: JobBody): Promise<string> {
  const source = 'upload' in body.source ? { sha256: (await readUpload(deps.blobs, tenant, body.source.upload)).sha256 } : body.source;
  return digest(canonicalJson({ ...body, source }));
}

/** Rejects with what is wrong with the file (where it has to be there already), the handler or its options, and with `unknown_dependency`. */
export async function newJob(deps: ApiContext, tenant: string, owner: string, body: JobBody, { mustExist = true } = {}): Promise<NewJob> {
  const { source, sourceId, lane, handler, options, priority, tags, concurrency, breaker, runAt, dependsOn, onFailure, format, validation, ...request } = body;
  if (validation !== undefined && format === undefined) throw new InvalidRequest('Body', [{ path: 'validation', message: 'there is no format that rows could be checked by' }]);
  const asked = typeof handler === 'string' ? { name: handler } : handler;
  if (options !== undefined && asked.options !== undefined) {
    throw new InvalidRequest('Body', [{ path: 'options', message: 'options are given here and in handler' }]);
  }
  checkWriteBack(body);
  body.webhooks?.forEach((one, index) => deps.webhooks.check(tenant, one, `webhooks.${index}`));
  const choice = resolveHandler(asked.name, options ?? asked.options ?? {});
  const named = findHandler(choice.name);
  const parsed = parseOptions(named, choice.options);
  if (body.fanOut !== undefined && named.parks?.(parsed)) {
    throw new InvalidRequest('Body', [{ path: 'fanOut', message: 'rows that a service answers later are no workflows: leave out fanOut, or the option async' }]);
  }
  return {
    tenant, owner, priority, tags, onFailure,
    source: sourceId ?? null,
    lane: lane ?? null,
    runAt: runAt === undefined ? null : new Date(runAt).toISOString(),
    dependsOn: await knownJobs(deps.store, tenant, dependsOn),
    request: {
      ...request,
      ...(await located(deps, tenant, source, request, mustExist)),
      handler: choice.name,
      options: choice.options,
      concurrency: concurrency ?? null,
      ...(format !== undefined && { validation: { level: validation ?? 'moderate', columns: rulesOf(readFormats(deps.config.SHEAF_FORMATS), format) } }),
      breaker: breaker === false ? null : breaker,
    },
  };
}

/** The file that a body's `source` names, once it is known to exist. Whether a Google Sheet does is for the worker to find out, which has the credentials. */
async function located(
  deps: ApiContext, tenant: string, source: JobBody['source'], options: SheetOptions, mustExist: boolean,
): Promise<{ location: SourceLocation; fileName: string }> {
  if ('spreadsheet' in source) {
    const location = spreadsheetLocation(source, options);
    return { location, fileName: `Google Sheet ${location.spreadsheet}` };
  }
  if ('upload' in source) {
    const { name } = await readUpload(deps.blobs, tenant, source.upload);
    return { location: source, fileName: name };
  }
  // The worker may run in another folder, so relative ends here.
  const file = path.resolve(source.path);
  const name = mustExist ? (await localFile(file, deps.config.SHEAF_INPUT_DIRS)).name : path.basename(file);
  return { location: { path: file }, fileName: name };
}

/** For a look at it before there is a job. */
export async function findSheet(
  { blobs, config, google }: ApiContext, tenant: string, owner: string, { source, ...options }: Pick<JobBody, 'source'> & SheetOptions,
): Promise<FoundSheet> {
  const location = 'spreadsheet' in source ? spreadsheetLocation(source, options) : source;
  return underLimits(locateSheet({ blobs, inputDirs: config.SHEAF_INPUT_DIRS, google }, location, { tenant, user: `${tenant}/${owner}` }));
}

/** For a call that has to wait there is nobody here who would. Rejects with `rate_limited`. */
export async function underLimits<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
    throw new SheafError('rate_limited', error.message, { remedy: `Try again in ${Math.ceil(error.waitMs / 1000)} s`, cause: error });
  }
}

/** The sheet that the request names counts, and the one in the address where it names none. */
function spreadsheetLocation(source: Extract<JobBody['source'], { spreadsheet: string }>, { sheet, range }: SheetOptions): SpreadsheetLocation {
  const { spreadsheet, gid, credentials, useAdc } = source;
  const named = sheet !== undefined || (range?.includes('!') ?? false);
  if (credentials !== undefined && useAdc === true) throw new InvalidRequest('Body', [{ path: 'source.useAdc', message: 'credentials are named beside it: give one of them' }]);
  if (gid !== undefined && named) throw new InvalidRequest('Body', [{ path: 'source.gid', message: 'the sheet is named as well: give one of them' }]);
  const address = parseSpreadsheetAddress(spreadsheet);
  const number = gid ?? (named ? null : address.gid);
  return { spreadsheet: address.id, ...(number !== null && { gid: number }), ...(credentials !== undefined && { credentials }), ...(useAdc === true && { useAdc }) };
}

function checkWriteBack({ source, writeBack, keyColumns, headerRow }: JobBody): void {
  if (writeBack === undefined) return;
  const wrong = (path: string, message: string): InvalidRequest => new InvalidRequest('Body', [{ path, message }]);
  if (!('spreadsheet' in source)) throw wrong('writeBack', 'only a Google Sheet can be written to');
  if (headerRow === 0 && writeBack.tab === undefined) throw wrong('writeBack', 'the sheet has no header row, so it has no columns by name: name a tab to write to');
  const key = Object.values(writeBack.columns).find((column) => keyColumns.includes(column));
  if (key !== undefined) throw wrong('writeBack.columns', `"${key}" is a key column`);
}

async function knownJobs(store: Store, tenant: string, ids: string[]): Promise<string[]> {
  const known = [...new Set(ids)];
  for (const id of known) {
    const job = await store.getJob(tenant, id);
    if (!job || job.desired === 'deleted') {
      throw new SheafError('unknown_dependency', `There is no job ${id} to depend on.`, { remedy: '`sheaf job list` shows those that there are.', place: { field: 'dependsOn' } });
    }
  }
  return known;
}

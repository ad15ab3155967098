/** The members that a batch's request asks for, each checked as a job's own request is; all are right, or none is made. */
import type { z } from 'zod';
import { ID_PATTERN } from '../contracts/api.ts';
import { jobBody } from '../contracts/job-api.ts';
import type { batchBody } from '../contracts/plans-api.ts';
import { SheafError } from '../contracts/errors.ts';
import type { NewJob } from '../contracts/plans.ts';
import type { Json } from '../contracts/row.ts';
import { inOrder } from '../domain/dependencies.ts';
import { canonicalJson, digest } from '../domain/hashing.ts';
import { listSheets } from '../sources/index.ts';
import { memberId } from '../temporal/workflow-ids.ts';
import type { ApiContext } from './context.ts';
import { findSheet, newJob, requestHash, underLimits } from './new-job.ts';
import { invalid, InvalidRequest } from './problem.ts';

type JobBody = z.output<typeof jobBody>;
type BatchBody = z.output<typeof batchBody>;

interface Entry {
  name: string;
  body: JobBody;
}

/** Checked at once; each looks at a file. */
const AT_ONCE = 20;

/** What others depend on comes first. Rejects with what is wrong, and where; with `batch_too_large`, `dependency_cycle`. */
export async function membersOf(deps: ApiContext, tenant: string, owner: string, batch: string, body: BatchBody): Promise<{ jobs: NewJob[]; requestHash: string }> {
  const most = deps.config.SHEAF_MAX_BATCH_JOBS;
  const given = body.jobs ?? (await tabsOf(deps, tenant, owner, body));
  if (given.length > most) {
    throw new SheafError('batch_too_large', `The batch has ${given.length} jobs; ${most} are allowed.`, { remedy: 'Split it, or raise SHEAF_MAX_BATCH_JOBS.' });
  }
  const entries = inItsOrder(given.map((one, index) => entryOf(one, body.defaults, index)));
  const idOf = new Map(entries.map(({ name }, place) => [name, memberId(tenant, batch, place)]));
  const hashes: string[] = [];
  const jobs: NewJob[] = [];
  for (let index = 0; index < entries.length; index += AT_ONCE) {
    const chunk = await Promise.all(entries.slice(index, index + AT_ONCE).map(async ({ name, body: one }) => {
      const elsewhere = one.dependsOn.filter((id) => !idOf.has(id));
      const job = await newJob(deps, tenant, owner, { ...one, dependsOn: elsewhere }).catch((error: unknown) => { throw placed(error, name); });
      const here = one.dependsOn.flatMap((id) => idOf.get(id) ?? []);
      return { hash: await requestHash(deps, tenant, one), job: { ...job, dependsOn: [...new Set([...here, ...job.dependsOn])] } };
    }));
    hashes.push(...chunk.map(({ hash }) => hash));
    jobs.push(...chunk.map(({ job }) => job));
  }
  return { jobs, requestHash: digest(canonicalJson([body.name ?? null, hashes])) };
}

/** Unnamed entries are called by their place. */
function entryOf({ name, ...fields }: { [field: string]: unknown }, defaults: { [field: string]: unknown }, index: number): Entry {
  if (name !== undefined && (typeof name !== 'string' || !ID_PATTERN.test(name))) {
    throw new InvalidRequest('Body', [{ path: `jobs.${index}.name`, message: 'expected at most 64 letters, digits, "_" and "-"' }]);
  }
  const parsed = jobBody.safeParse({ ...defaults, ...fields });
  if (!parsed.success) throw invalid(`Body, jobs.${index}`, jobBody, parsed.error);
  return { name: name ?? `jobs.${index}`, body: parsed.data };
}

function inItsOrder(entries: Entry[]): Entry[] {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  if (byName.size < entries.length) {
    const twice = entries.find(({ name }, index) => entries.findIndex((one) => one.name === name) !== index);
    throw new InvalidRequest('Body', [{ path: 'jobs', message: `two jobs are called ${twice?.name}` }]);
  }
  const ordered = inOrder(new Map(entries.map(({ name, body }) => [name, body.dependsOn])));
  if ('circle' in ordered) {
    throw new SheafError('dependency_cycle', `Jobs depend on each other in a circle: ${ordered.circle.join(' → ')}.`, { remedy: 'Leave out one of these dependencies.', place: { field: 'dependsOn' } });
  }
  return ordered.order.map((name) => byName.get(name)!);
}

/** Says which of the jobs is meant. */
function placed(error: unknown, name: string): unknown {
  if (!(error instanceof SheafError)) return error;
  return new SheafError(error.code, `${name}: ${error.message}`, { ...(error.remedy !== undefined && { remedy: error.remedy }), place: { ...error.place, field: name }, cause: error });
}

async function tabsOf(deps: ApiContext, tenant: string, owner: string, { defaults, tabs }: BatchBody): Promise<{ [field: string]: Json }[]> {
  const parsed = jobBody.safeParse(defaults);
  if (!parsed.success) throw invalid('Body, defaults', jobBody, parsed.error);
  const file = await findSheet(deps, tenant, owner, parsed.data);
  const sheets = await underLimits(listSheets(file, deps.sheetLimits));
  if (sheets.length === 0) throw new SheafError('sheet_not_found', `${file.name} is no workbook: it has no tabs.`, { remedy: 'Make a job of it.' });
  const names = tabs === 'all' ? sheets : (tabs ?? []);
  const missing = names.find((name) => !sheets.includes(name));
  if (missing !== undefined) throw new SheafError('sheet_not_found', `${file.name} has no sheet "${missing}".`, { remedy: `It has ${sheets.map((name) => `"${name}"`).join(', ')}.`, place: { sheet: missing } });
  return names.map((sheet) => ({ sheet }));
}

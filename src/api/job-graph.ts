/** The jobs that a job hangs together with: what it depends on, what depends on it, and so on. */
import type { JobGraphAnswer } from '../contracts/plans-api.ts';
import type { JobRecord } from '../contracts/job.ts';
import type { Store } from '../store/store.ts';

/** More than a person looks at; a batch of thousands behind one job is not read for it. */
const MOST = 200;

/** Nearest first; cut at 200 jobs. */
export async function jobGraph(store: Store, start: JobRecord): Promise<JobGraphAnswer> {
  const found = new Map<string, JobRecord | null>([[start.id, start]]);
  let complete = true;
  const add = (id: string, job: JobRecord | null): void => {
    if (found.has(id)) return;
    if (found.size >= MOST) complete = false;
    else found.set(id, job);
  };
  // A map goes on with what is added while it is walked.
  for (const [id, job] of found) {
    for (const dependency of job?.dependsOn ?? []) {
      if (!found.has(dependency)) add(dependency, await store.getJob(start.tenant, dependency));
    }
    const dependents = await store.listDependents(start.tenant, id, { limit: MOST });
    if (dependents.nextCursor !== null) complete = false;
    for (const dependent of dependents.items) add(dependent.id, dependent);
  }
  return {
    job: start.id,
    jobs: [...found].map(([id, job]) => job === null
      ? { id, state: null, dependsOn: [] }
      : { id, state: job.state, file: job.request.fileName, handler: job.kind === 'sheet' ? job.request.handler : 'document', dependsOn: job.dependsOn }),
    complete,
  };
}

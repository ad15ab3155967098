/** What a job depends on, as its workflow asks. */
import type { PlanActivities } from '../contracts/plans.ts';
import { judgeDependencies } from '../domain/dependencies.ts';
import type { ActivityDeps } from './deps.ts';
import { loadJob } from './rows.ts';

export function dependencyActivities(deps: ActivityDeps): Pick<PlanActivities, 'checkDependencies'> {
  return {
    async checkDependencies({ tenant, jobId, unmet }) {
      const job = await loadJob(deps, { tenant, jobId });
      const dependencies = await Promise.all(unmet.map(async (id) => ({ id, state: (await deps.store.getJob(tenant, id))?.state ?? null })));
      return judgeDependencies(dependencies, job.onFailure);
    },
  };
}

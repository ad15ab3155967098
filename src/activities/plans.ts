/** What schedules and jobs that depend on others ask for. */
import type { Client } from '@temporalio/client';
import { SheafError } from '../contracts/errors.ts';
import { isEnded } from '../contracts/job.ts';
import type { PlanActivities } from '../contracts/plans.ts';
import { judgeDependencies } from '../domain/dependencies.ts';
import { createJobSchedules } from '../temporal/job-schedules.ts';
import type { Jobs } from '../temporal/jobs.ts';
import { createSources } from '../temporal/sources.ts';
import { scheduledJobId } from '../temporal/workflow-ids.ts';
import type { ActivityDeps } from './deps.ts';
import { loadJob } from './rows.ts';

type Asked = 'checkDependencies' | 'createScheduledJob' | 'endOfJob' | 'cancelJob';

export function planActivities(deps: ActivityDeps, client: Client, jobs: Jobs): Pick<PlanActivities, Asked> {
  const { store, log } = deps;
  const schedules = createJobSchedules(store, client);
  const sources = createSources(store, client, jobs);
  return {
    async checkDependencies({ tenant, jobId, unmet }) {
      const job = await loadJob(deps, { tenant, jobId });
      const dependencies = await Promise.all(unmet.map(async (id) => ({ id, state: (await store.getJob(tenant, id))?.state ?? null })));
      return judgeDependencies(dependencies, job.onFailure);
    },

    async createScheduledJob({ tenant, id, of, at, workflow }) {
      if (of === 'source') {
        const job = await sources.runScheduled({ tenant, id, at, workflow, job: scheduledJobId(workflow) });
        return job && { tenant, jobId: job.id };
      }
      const schedule = await store.getPlan(tenant, 'schedule', id);
      if (!schedule) {
        log.warn({ tenant, schedule: id }, 'a schedule without a record was due: no job was made');
        await schedules.removeGhost({ tenant, id });
        return null;
      }
      const { job } = await jobs.create(schedule.job, { id: scheduledJobId(workflow), schedule: { id, at, workflow } });
      return { tenant, jobId: job.id };
    },

    async endOfJob({ tenant, jobId }) {
      const job = await store.getJob(tenant, jobId);
      if (!job) return 'deleted';
      return isEnded(job.state) ? job.state : null;
    },

    async cancelJob({ tenant, jobId }) {
      await jobs.control(tenant, jobId, 'cancel').catch((error: unknown) => {
        if (!(error instanceof SheafError) || (error.code !== 'wrong_state' && error.code !== 'job_not_found')) throw error;
      });
    },
  };
}

import { digest } from '../domain/hashing.ts';

/** Each attempt of a job is a workflow of its own, so that none is ever started twice. */
export const jobWorkflowId = (job: string, attempt: number): string => `${job}/${attempt}`;
/** Of a row of a job whose rows are workflows of their own. */
export const itemWorkflowId = (job: string, attempt: number, row: number): string => `${job}/${attempt}/row/${row}`;
export const closeWorkflowId = (job: string, attempt: number): string => `${job}/${attempt}/close`;
/** Of one endpoint that is told of a job. */
export const webhookWorkflowId = (job: string, endpoint: string): string => `${job}/webhooks/${endpoint}`;
/** The broker of a named limit. */
/** Of a look at what a job would do. */
export const forecastWorkflowId = (id: string): string => `forecast/${id}`;
export const limitWorkflowId = (key: string): string => `limit/${key}`;
export const deleteWorkflowId = (job: string): string => `${job}/delete`;
/** Of the schedule and of the workflow that it starts. */
export const SWEEP_UPLOADS_ID = 'sheaf-sweep-uploads';
export const cleanUpWorkflowId = (cleanup: string): string => `sheaf-clean-up/${cleanup}`;

/** Temporal's id of a schedule; ids of schedules are a tenant's own. */
export const scheduleId = (tenant: string, schedule: string): string => `sheaf/${tenant}/${schedule}`;
/** Temporal adds the time that a run is due at. `createdAt` keeps the runs of a schedule apart from those of one that had its name before. */
export const scheduledWorkflowId = (tenant: string, schedule: string, createdAt: string): string => `schedule/${tenant}/${schedule}/${Date.parse(createdAt)}`;
/** One job for each time that a schedule is due, however often that time is run. */
export const scheduledJobId = (workflow: string): string => `job_${digest(workflow)}`;
export const batchWorkflowId = (tenant: string, batch: string): string => `batch/${tenant}/${batch}`;
export const bulkWorkflowId = (tenant: string, bulk: string): string => `bulk/${tenant}/${bulk}`;
/** `place` counts from 0. */
export const memberId = (tenant: string, batch: string, place: number): string => `job_${digest(JSON.stringify([tenant, batch, place]))}`;
/** Begins with the tenant, so that nobody asks for another's. */
export const documentBulkWorkflowId = (tenant: string, bulk: string): string => `${tenant}/${bulk}`;
/** No id of a schedule has a slash. */
export const sourceScheduleId = (tenant: string, source: string): string => `sheaf/${tenant}/sources/${source}`;
export const sourceWorkflowId = (tenant: string, source: string, createdAt: string): string => `source/${tenant}/${source}/${Date.parse(createdAt)}`;
export const deleteSourceWorkflowId = (tenant: string, source: string): string => `source/${tenant}/${source}/delete`;
/** Of the schedule and of the workflow that it starts. */
export const CLEAN_UP_SOURCES_ID = 'sheaf-clean-up-sources';
export const cleanUpSourcesWorkflowId = (cleanup: string): string => `sheaf-clean-up-sources/${cleanup}`;

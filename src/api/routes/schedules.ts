/** Schedules: jobs that are made by the clock. */
import { ulid } from 'ulid';
import { API_PREFIX, idempotencyHeaders, idParams, listOf, listQuery } from '../../contracts/api.ts';
import { backfillBody, scheduleAnswer, scheduleBody, scheduleChangeBody, schedulePauseBody, triggerAnswer, type ScheduleAnswer } from '../../contracts/plans-api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { canonicalJson, digest } from '../../domain/hashing.ts';
import type { JobSchedule } from '../../temporal/job-schedules.ts';
import { z } from 'zod';
import { endpoint, reply } from '../endpoint.ts';
import { newJob, requestHash } from '../new-job.ts';
import { InvalidRequest } from '../problem.ts';

const tag = 'Schedules';
const schedules = `${API_PREFIX}/schedules`;
const address = (id: string): string => `${schedules}/${id}`;

function scheduleAnswerOf({ record, clock }: JobSchedule): ScheduleAnswer {
  const { request, source, priority, tags } = record.job;
  return {
    id: record.id, tenant: record.tenant, owner: record.owner, state: clock?.state ?? 'unknown', ...(clock?.note && { note: clock.note }),
    cron: record.cron, timeZone: record.timeZone, overlap: record.overlap,
    next: clock?.next ?? [], recent: clock?.recent ?? [], counts: clock?.counts ?? { started: 0, skipped: 0, missed: 0 },
    job: { file: request.fileName, handler: request.handler, options: request.options, ...(source !== null && { source }), priority, tags },
    createdAt: record.createdAt,
  };
}

const create = endpoint({
  method: 'post', path: schedules, id: 'createSchedule', tag,
  summary: 'Make a schedule',
  description: 'The file, the handler and its options are checked now; each run reads the file as it is then.',
  headers: idempotencyHeaders,
  body: scheduleBody,
  answers: {
    201: { description: 'The schedule', schema: scheduleAnswer, headers: { Location: "The schedule's address" } },
    200: { description: 'The same request had made this schedule before', schema: scheduleAnswer, headers: { Location: "The schedule's address" } },
  },
  fails: ['invalid_schedule', 'schedule_exists', 'idempotency_conflict', 'temporal_unavailable', 'upload_not_found', 'source_not_found', 'path_not_allowed', 'unknown_handler', 'invalid_options'],
}, async ({ tenant, owner, body, headers }, deps) => {
  const key = headers['idempotency-key'];
  const { id: named, job, cron, timeZone, overlap, paused } = body;
  const full = { ...job, dependsOn: [], onFailure: 'cancel' as const };
  const id = named ?? `sch_${key === undefined ? ulid().toLowerCase() : digest(key)}`;
  const { schedule, created } = await deps.schedules.create({
    kind: 'schedule', tenant, id, owner, cron, timeZone, overlap, job: await newJob(deps, tenant, owner, full),
    createdAt: new Date().toISOString(), revision: 0, open: false,
    requestHash: digest(canonicalJson([cron, timeZone, overlap, paused, await requestHash(deps, tenant, full)])),
  }, paused).catch((error: unknown) => {
    if (named === undefined || !(error instanceof SheafError) || error.code !== 'idempotency_conflict') throw error;
    throw new SheafError('schedule_exists', `There is another schedule ${named}.`, { remedy: 'Choose another id, or delete that one first.', place: { field: 'id' } });
  });
  return reply(created ? 201 : 200, scheduleAnswerOf(schedule), { Location: address(id) });
});

const list = endpoint({
  method: 'get', path: schedules, id: 'listSchedules', tag,
  summary: 'List schedules, newest first',
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of schedules', schema: listOf(scheduleAnswer) } },
  fails: ['invalid_cursor'],
}, async ({ tenant, query: { cursor, limit } }, deps) => {
  const { items, nextCursor } = await deps.schedules.list(tenant, { limit, ...(cursor !== undefined && { cursor }) });
  return reply(200, { items: items.map(scheduleAnswerOf), nextCursor });
});

const answers = { 200: { description: 'The schedule', schema: scheduleAnswer } } as const;
const changing = ['schedule_not_found', 'temporal_unavailable'] as const;

const show = endpoint({
  method: 'get', path: `${schedules}/{id}`, id: 'getSchedule', tag, summary: 'Show a schedule', params: idParams, answers, fails: ['schedule_not_found'],
}, async ({ tenant, params }, deps) => reply(200, scheduleAnswerOf(await deps.schedules.show(tenant, params.id))));

const change = endpoint({
  method: 'patch', path: `${schedules}/{id}`, id: 'changeSchedule', tag, summary: 'Change when a schedule runs',
  description: 'A schedule of another job is another schedule.',
  params: idParams, body: scheduleChangeBody, answers, fails: [...changing, 'invalid_schedule', 'conflict'],
}, async ({ tenant, params, body }, deps) => reply(200, scheduleAnswerOf(await deps.schedules.change(tenant, params.id, body))));

const pause = endpoint({
  method: 'post', path: `${schedules}/{id}/pause`, id: 'pauseSchedule', tag, summary: 'Pause a schedule',
  description: 'Jobs that it has made go on.',
  params: idParams, body: schedulePauseBody, answers, fails: [...changing],
}, async ({ tenant, params, body }, deps) => reply(200, scheduleAnswerOf(await deps.schedules.pause(tenant, params.id, body.note))));

const resume = endpoint({
  method: 'post', path: `${schedules}/{id}/resume`, id: 'resumeSchedule', tag, summary: 'Resume a paused schedule',
  description: 'What was due meanwhile is not made up for; a backfill does that.',
  params: idParams, answers, fails: [...changing],
}, async ({ tenant, params }, deps) => reply(200, scheduleAnswerOf(await deps.schedules.resume(tenant, params.id))));

const trigger = endpoint({
  method: 'post', path: `${schedules}/{id}/trigger`, id: 'triggerSchedule', tag, summary: 'Run a schedule now',
  description: 'Also while it is paused, or a job of it has not ended.',
  params: idParams, answers: { 202: { description: 'The job that is made', schema: triggerAnswer } }, fails: [...changing],
}, async ({ tenant, params }, deps) => {
  const { schedule, job } = await deps.schedules.trigger(tenant, params.id);
  return reply(202, { job, schedule: scheduleAnswerOf(schedule) });
});

const backfill = endpoint({
  method: 'post', path: `${schedules}/{id}/backfill`, id: 'backfillSchedule', tag, summary: 'Run what would have been due in a time that has passed',
  description: 'One job after the other. A time that has a job already gets no second one. Temporal takes at most 1,000 runs at once.',
  params: idParams, body: backfillBody, answers: { 202: { description: 'The schedule', schema: scheduleAnswer } }, fails: [...changing],
}, async ({ tenant, params, body: { from, to } }, deps) => {
  if (Date.parse(to) > Date.now()) throw new InvalidRequest('Body', [{ path: 'to', message: 'lies in the future' }]);
  return reply(202, scheduleAnswerOf(await deps.schedules.backfill(tenant, params.id, new Date(from), new Date(to))));
});

const remove = endpoint({
  method: 'delete', path: `${schedules}/{id}`, id: 'deleteSchedule', tag, summary: 'Delete a schedule',
  description: 'Jobs that it has made stay.',
  params: idParams, answers: { 204: { description: 'It is gone' } }, fails: ['schedule_not_found'],
}, async ({ tenant, params }, deps) => {
  await deps.schedules.remove(tenant, params.id);
  return reply(204);
});

export const scheduleEndpoints = [create, list, show, change, pause, resume, trigger, backfill, remove];

/** Deliveries of webhooks: what there is to tell of a job, and telling it to one endpoint. */
import { ApplicationFailure } from '@temporalio/common';
import { blobKeys } from '../blobs/keys.ts';
import { readPageFile, readResultFile } from '../blobs/pages.ts';
import { SheafError } from '../contracts/errors.ts';
import { isEnded, type JobRecord } from '../contracts/job.ts';
import type { Json } from '../contracts/row.ts';
import { ITEMS_PER_MESSAGE, TRIES_KEPT, type DeliveryRecord, type DeliveryTry, type WebhookActivities, type WebhookCursor, type WebhookEndpoint, type WebhookMessage, type WebhookRef } from '../contracts/webhooks.ts';
import { holdsPage, returnPage } from '../domain/paging.ts';
import { retryAfterMs } from '../domain/retry-after.ts';
import { isSigningSecret, signatureHeaders } from '../domain/signature.ts';
import { allOf } from '../store/all-of.ts';
import { encodeCursor } from '../store/cursor.ts';
import { endpointsOf } from '../webhooks.ts';
import type { ActivityDeps } from './deps.ts';

/** Messages that one look answers. */
const MOST_MESSAGES = 20;
/** Events that one look reads. */
const EVENTS = 200;
const LIMITS = { bytes: 2 ** 20, inflatedBytes: 2 ** 20, answerMs: 20_000, totalMs: 30_000 };
const MOST_WAIT_MS = 6 * 3_600_000;

type StateEvent = Extract<WebhookMessage, { details: object }>['type'];
const isTold = (type: string): type is StateEvent => type === 'completed' || type === 'failed' || type === 'cancelled' || type === 'waiting';

export function webhookActivities(deps: ActivityDeps): WebhookActivities {
  const { store } = deps;

  /** Null: nobody is to be told any more. */
  const recipientOf = async ({ tenant, jobId, endpoint: name }: WebhookRef): Promise<{ job: JobRecord; endpoint: WebhookEndpoint } | null> => {
    const job = await store.getJob(tenant, jobId);
    const endpoint = job && job.desired !== 'deleted' ? endpointsOf(job, deps.webhooks).get(name) : undefined;
    return job && endpoint ? { job, endpoint } : null;
  };

  const recordFor = async (ref: WebhookRef, job: JobRecord, number: number, message: WebhookMessage): Promise<DeliveryRecord> => {
    const found = await store.getDelivery(ref.tenant, ref.jobId, ref.endpoint, number);
    if (found) return found;
    const record: DeliveryRecord = {
      tenant: ref.tenant, job: ref.jobId, endpoint: ref.endpoint, number, type: message.type, state: 'pending', createdAt: new Date().toISOString(), deliveredAt: null, tries: 0, log: [],
      body: JSON.stringify({ type: message.type, timestamp: message.at, data: await dataOf(deps, job, message) }), cursor: message.cursor,
    };
    await store.writeDelivery(record);
    return record;
  };

  return {
    async openWebhook({ tenant, jobId, endpoint }) {
      const last = await store.lastDelivery(tenant, jobId, endpoint);
      return last ? { cursor: last.cursor, number: last.number } : { cursor: { attempt: 1, event: 0, pages: [], finished: 0 }, number: 0 };
    },

    async webhookNews({ cursor, ...ref }) {
      const found = await recipientOf(ref);
      if (!found) return { messages: [], cursor, next: 'over' };
      const { job, endpoint } = found;
      const wants = new Set<string>(endpoint.events);
      const messages: WebhookMessage[] = [];
      let at: WebhookCursor = cursor.attempt === job.attempt ? cursor : { ...cursor, attempt: job.attempt, pages: [], finished: 0 };
      const { attempt } = at;

      if (wants.has('item_failed')) {
        for await (const { page, failed } of failedPages(deps, job, at)) {
          const chunks = Math.ceil(failed / ITEMS_PER_MESSAGE);
          for (let chunk = 0; chunk < chunks; chunk++) {
            // A page is through with its last message.
            if (chunk === chunks - 1) at = { ...at, pages: returnPage([...at.pages], page) };
            messages.push({ type: 'item_failed', at: new Date().toISOString(), attempt, page, chunk, cursor: at });
          }
          if (messages.length >= MOST_MESSAGES) return { messages, cursor: at, next: 'more' };
        }
      }
      if (wants.has('progress') && job.state === 'running') {
        const { done, unchanged, failed, skipped } = await store.jobTotals(job.tenant, job.id, job.attempt);
        const finished = done + unchanged + failed + skipped;
        if (finished > at.finished) {
          at = { ...at, finished };
          messages.push({ type: 'progress', at: new Date().toISOString(), attempt, counts: { done, unchanged, failed, skipped }, total: job.manifest?.rows ?? null, cursor: at });
        }
      }
      const { items: events, nextCursor } = await store.listEvents(job.tenant, job.id, { limit: EVENTS, ...(at.event > 0 && { cursor: encodeCursor([at.event]) }) });
      for (const { seq, at: time, type, message, data } of events) {
        at = { ...at, event: seq };
        if (isTold(type) && wants.has(type)) messages.push({ type, at: time, attempt, message, details: data ?? {}, cursor: at });
        if (messages.length >= MOST_MESSAGES) return { messages, cursor: at, next: 'more' };
      }
      if (nextCursor !== null) return { messages, cursor: at, next: 'more' };
      const looks = job.state === 'running' && (wants.has('progress') || wants.has('item_failed'));
      return { messages, cursor: at, next: isEnded(job.state) ? 'over' : looks ? 'look' : 'wait' };
    },

    async deliverWebhook({ number, message, ...ref }) {
      const found = await recipientOf(ref);
      if (!found) return;
      const record = await recordFor(ref, found.job, number, message);
      if (record.state === 'delivered') return;
      const { failure } = await send(deps, found.endpoint, record);
      if (failure) throw failure;
    },

    async giveUpWebhook({ number, message, ...ref }) {
      const found = await recipientOf(ref);
      if (!found) return;
      const record = await recordFor(ref, found.job, number, message);
      if (record.state === 'pending') await store.writeDelivery({ ...record, state: 'failed' });
    },

    async redeliverWebhook({ number, ...ref }) {
      const found = await recipientOf(ref);
      const record = found && await store.getDelivery(ref.tenant, ref.jobId, ref.endpoint, number);
      if (found && record) await send(deps, found.endpoint, record);
    },
  };
}

/** One try, written down. Answers why it was no success, as Temporal is to take it. */
async function send({ store, web, secrets }: ActivityDeps, endpoint: WebhookEndpoint, record: DeliveryRecord): Promise<{ failure: Error | null }> {
  const begun = new Date();
  const id = `${record.job}.${record.endpoint}.${record.number}`;
  let status: number | null = null;
  let failure: Error | null = null;
  try {
    const answer = await web.request({
      url: endpoint.url, method: 'POST', body: record.body, limits: LIMITS,
      headers: {
        'content-type': 'application/json', 'user-agent': 'Sheaf-Webhooks/1.0',
        ...signatureHeaders(signingSecret(secrets(endpoint.secret, { tenant: record.tenant, host: null }), endpoint.secret), id, record.body, begun.getTime()),
      },
    });
    status = answer.status;
    if (status < 200 || status >= 300) failure = refusal(status, answer.headers['retry-after']);
  } catch (error) {
    if (!(error instanceof SheafError)) throw error;
    failure = ApplicationFailure.create({ type: error.code, message: error.message, nonRetryable: FINAL.has(error.code), details: [error.body()] });
  }
  const done: DeliveryTry = { at: begun.toISOString(), status, code: failure instanceof ApplicationFailure ? failure.type ?? null : null, ms: Date.now() - begun.getTime() };
  // What was taken stays so, whatever becomes of another delivery.
  await store.writeDelivery({
    ...record, tries: record.tries + 1, log: [...record.log, done].slice(-TRIES_KEPT),
    ...(failure === null && { state: 'delivered', deliveredAt: record.deliveredAt ?? new Date().toISOString() }),
  });
  return { failure };
}

/** No try of the next day mends it. */
const FINAL = new Set(['url_invalid', 'url_not_allowed', 'secret_unknown', 'webhook_gone']);

function refusal(status: number, retryAfter: string | undefined): ApplicationFailure {
  if (status === 410) return ApplicationFailure.nonRetryable('The endpoint says that it is gone (410).', 'webhook_gone');
  const wait = retryAfterMs(retryAfter);
  return ApplicationFailure.create({
    type: 'webhook_refused', message: `The endpoint answers with status ${status}.`, ...(wait && { nextRetryDelay: Math.min(wait, MOST_WAIT_MS) }),
  });
}

function signingSecret(secret: string, name: string): string {
  if (isSigningSecret(secret)) return secret;
  throw new SheafError('secret_unknown', `The secret "${name}" is none that webhooks can be signed with.`, { remedy: 'Give whsec_ and base64 after it, or any text.' });
}

/** Pages whose failed rows are to be told: those that are through, and, once the job has ended, all that have a result. */
async function* failedPages({ store }: ActivityDeps, job: JobRecord, { pages }: WebhookCursor): AsyncGenerator<{ page: number; failed: number }> {
  for await (const { page, attempt, counts, complete, result } of allOf((asked) => store.listPages(job.tenant, job.id, asked))) {
    if (attempt === job.attempt && counts.failed > 0 && result !== null && (complete || isEnded(job.state)) && !holdsPage(pages, page)) yield { page, failed: counts.failed };
  }
}

async function dataOf(deps: ActivityDeps, job: JobRecord, message: WebhookMessage): Promise<{ [key: string]: Json }> {
  const { id, kind, source, tags } = job;
  const about = { id, kind, source, tags, attempt: message.attempt, ...(job.kind === 'sheet' && { handler: job.request.handler }) };
  if (message.type === 'progress') return { job: { ...about, state: 'running' }, progress: { ...message.counts, total: message.total } };
  if (message.type === 'item_failed') return { job: about, items: await failedItems(deps, job, message.page, message.chunk) };
  return { job: { ...about, state: message.type }, message: message.message, details: message.details };
}

async function failedItems({ store, blobs }: ActivityDeps, job: JobRecord, page: number, chunk: number): Promise<Json[]> {
  const record = await store.getPage(job.tenant, job.id, page);
  if (!record?.result) return [];
  const [{ rows }, pageRows] = await Promise.all([readResultFile(blobs, record.result), readPageFile(blobs, blobKeys.page(job.tenant, job.id, page))]);
  const keys = new Map(pageRows.map(({ row, key }) => [row, key]));
  return rows.filter(({ state }) => state === 'failed').slice(chunk * ITEMS_PER_MESSAGE, (chunk + 1) * ITEMS_PER_MESSAGE)
    .map(({ row, error }) => ({ row, key: keys.get(row) ?? null, ...(error && { error: { code: error.code, message: error.message, retryable: error.retryable, ...(error.column !== undefined && { column: error.column }) } }) }));
}

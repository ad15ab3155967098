/**
 * Rows of a page whose service may answer later. Before a row is sent, its intent is written down; before it is sent
 * again, that is looked up: what the service has taken is not given to it once more, and what it has answered is taken.
 */
import { randomBytes } from 'node:crypto';
import type { IntentRecord } from '../contracts/intent.ts';
import type { SheetJobRecord } from '../contracts/job.ts';
import type { FinishedOutcome } from '../contracts/row.ts';
import { digest } from '../domain/hashing.ts';
import { judge } from '../domain/later-answers.ts';
import type { HandledRow, LaterAnswers, PreparedHandler } from '../handlers/handler.ts';
import { allOf } from '../store/all-of.ts';
import { callbackAddress } from '../temporal/callback-address.ts';
import type { ActivityDeps } from './deps.ts';
import type { FinishedRow } from './row-runner.ts';

export interface Submissions {
  /** Rows that the service has, and has not answered. */
  waiting: number[];
  /** Rows that it has answered, or whose time is over. */
  answered: FinishedRow[];
  /** Rows that it is to be given, with what gives them to it. */
  rest: HandledRow[];
  handler: PreparedHandler;
  /** Intents of rows that have an outcome are over. */
  settle(lines: { has(row: number): boolean }): Promise<void>;
}

const SETTLED_AT_ONCE = 20;

type Standing = { submitted: true } | { outcome: FinishedOutcome; since: string };

export async function openSubmissions(
  { store, publicUrl }: Pick<ActivityDeps, 'store' | 'publicUrl'>, job: SheetJobRecord, page: number, prepared: PreparedHandler, later: LaterAnswers,
  rows: HandledRow[], handlerHash: string,
): Promise<Submissions> {
  const lane = { tenant: job.tenant, source: job.source, lane: job.lane };
  const { force } = job.request;
  const known = await store.readIntents(lane, rows.map(({ key }) => key));

  /** The row as it is, whatever job it is in: a job that is forced has call keys of its own. */
  const workOf = ({ inputHash }: HandledRow): string => digest(JSON.stringify([inputHash, handlerHash]));
  const isMine = (intent: IntentRecord): boolean => intent.job === job.id;

  /** What an intent says of its row; null: it is to be sent, again or for the first time. */
  const standing = (intent: IntentRecord | undefined, row: HandledRow): Standing | null => {
    if (!intent || intent.work !== workOf(row)) return null;
    if (intent.answer !== null) {
      const wanted = !force || isMine(intent);
      const failedBefore = intent.state === 'settled' && judge(intent.terms, intent.answer, 'done') === 'failed';
      return wanted && !failedBefore ? { outcome: later.take(intent.answer), since: intent.sentAt } : null;
    }
    if (intent.state !== 'submitted') return null;
    if (Date.parse(intent.deadline) > Date.now()) return { submitted: true };
    return { outcome: { error: { code: 'remote_deadline', message: 'The service took the row and did not answer in time.', retryable: false } }, since: intent.sentAt };
  };

  /** Writes what `next` makes of the intent as it is. Null: that says not to. */
  const change = async (row: HandledRow, next: (intent: IntentRecord | undefined) => IntentRecord | null): Promise<IntentRecord | null> => {
    for (;;) {
      const before = known.get(row.key);
      const wanted = next(before);
      if (!wanted) return null;
      const written = await store.changeIntent(wanted);
      if (written) {
        known.set(row.key, written);
        return written;
      }
      const now = (await store.readIntents(lane, [row.key])).get(row.key);
      if (now) known.set(row.key, now);
      else known.delete(row.key);
    }
  };

  const deadline = (): string => new Date(Date.now() + later.deadlineMs).toISOString();

  /** The call as it is about to be made: the same as before, unless the service has answered that one, or the row is another. */
  const called = (row: HandledRow, before: IntentRecord | undefined): IntentRecord => {
    const work = workOf(row);
    const same = before?.work === work && before.answer === null;
    const round = before?.work === work ? before.round + (before.answer === null ? 0 : 1) : 0;
    return {
      ...lane, key: row.key, work, job: job.id, page, row: row.row, state: 'calling', sentAt: new Date().toISOString(), remoteId: null, deadline: deadline(),
      terms: later.terms, answer: null, round, revision: before?.revision ?? 0,
      callKey: same ? before.callKey : round === 0 ? row.callKey! : digest(JSON.stringify([row.callKey, round])),
      token: same ? before.token : randomBytes(18).toString('base64url'),
    };
  };

  const handler: PreparedHandler = {
    ...prepared,
    async handle([row], signal) {
      const answeredNow = (): FinishedOutcome | { submitted: { remoteId: null } } | null => {
        const now = standing(known.get(row!.key), row!);
        return now && ('submitted' in now ? { submitted: { remoteId: null } } : now.outcome);
      };
      const intent = await change(row!, (before) => (standing(before, row!) ? null : called(row!, before)));
      if (!intent) return [answeredNow()!];
      const callback = later.terms.signing === null ? null : callbackAddress(publicUrl, intent);
      const [outcome] = await prepared.handle([{ ...row!, callKey: intent.callKey, callback }], signal);
      if (!('submitted' in outcome!)) return [outcome!];
      const { remoteId } = outcome.submitted;
      // The service may have called back before it answered.
      const taken = await change(row!, (now) => (now?.state === 'calling' && now.callKey === intent.callKey ? { ...now, state: 'submitted', remoteId, deadline: deadline() } : null));
      return [taken ? outcome : answeredNow() ?? outcome];
    },
  };

  const waiting: number[] = [];
  const answered: FinishedRow[] = [];
  const rest: HandledRow[] = [];
  for (const row of rows) {
    const now = standing(known.get(row.key), row);
    if (now === null) rest.push(row);
    else if ('outcome' in now) answered.push({ row, outcome: now.outcome, tries: 1, latencyMs: Date.now() - Date.parse(now.since) });
    else {
      // From another job, or an attempt that cut its pages otherwise: from now on it is this one that is told.
      await change(row, (intent) => (intent?.state !== 'submitted' || (isMine(intent) && intent.page === page && intent.row === row.row) ? null : { ...intent, job: job.id, page, row: row.row }));
      waiting.push(row.row);
    }
  }

  return {
    waiting, answered, rest, handler,
    async settle(lines) {
      const over = rows.flatMap(({ row, key }) => (lines.has(row) ? known.get(key) ?? [] : [])).filter(({ state }) => state !== 'settled');
      // Of rows that an earlier try has finished, and could not settle.
      for (const state of ['answered', 'submitted'] as const) {
        for await (const intent of allOf((asked) => store.listIntents(job.tenant, job.id, { state, page }, asked))) if (!known.has(intent.key) && lines.has(intent.row)) over.push(intent);
      }
      for (let from = 0; from < over.length; from += SETTLED_AT_ONCE) {
        // One that has changed since is looked at again.
        await Promise.all(over.slice(from, from + SETTLED_AT_ONCE).map((intent) => store.changeIntent({ ...intent, state: 'settled' })));
      }
    },
  };
}

/** `http`: calls the user's own service for every row, and takes its answer, now or later, for the output. */
import type { AnswerTerms } from '../contracts/intent.ts';
import type { FinishedOutcome, Json } from '../contracts/row.ts';
import { at } from '../domain/json-pointer.ts';
import { judge } from '../domain/later-answers.ts';
import { NOTHING_SPENT } from '../domain/spent.ts';
import type { HandledOutcome, HandledRow, Handler, LaterAnswers } from './handler.ts';
import { failureOf, mapped, messageOf, parsed, rowError } from './http-answer.ts';
import { httpOptions, type HttpOptions } from './http-options.ts';
import { openService } from './http-service.ts';

export const http: Handler<HttpOptions> = {
  name: 'http',
  version: 1,
  summary: 'Calls your own service for every row.',
  options: httpOptions,
  work: 'costly',
  parks: (options) => options.async !== undefined,
  async prepare(options, context) {
    const service = openService(options, context);
    const { rowsPerRequest, async: later } = options;
    const terms = later && termsOf(options, later);
    return {
      reads: service.reads,
      identity: {
        url: options.url, method: options.method, body: options.body ?? null, output: options.output ?? null, version: options.version,
        headers: Object.fromEntries(Object.entries(options.headers).filter(([, value]) => !value.includes('{{'))), batch: rowsPerRequest > 1,
      },
      batchSize: rowsPerRequest,
      concurrency: options.concurrency,
      limits: options.limits,
      namesCalls: true,
      // How often a service is asked how far it is, its rows' time decides.
      ...(later?.statusUrl === undefined && { foresee: async (some: HandledRow[]) => some.map(() => ({ known: false, ...NOTHING_SPENT, requests: 1 / rowsPerRequest })) }),
      ...(later && terms && { later: laterAnswers(options, later, terms, service.ask) }),
      handle: async (rows, signal) => {
        const answer = await service.call(rows, signal);
        if (!('status' in answer)) return rows.map(() => answer);
        const failure = failureOf(answer);
        if (failure) return rows.map(() => failure);
        const content = answer.body === '' ? null : parsed(answer.body);
        if (content === undefined) return rows.map(() => ({ error: rowError('invalid_answer', "The service's answer is no JSON.") }));
        if (rowsPerRequest > 1) return entriesOf(rows, content, options);
        const state = terms && (answer.status === 202 ? 'going_on' : judge(terms, content, 'done'));
        return [state === 'going_on' ? submitted(content, later!) : state === 'failed' ? remoteFailure(content, later!) : mapped(content, options)];
      },
      close: async () => {},
    };
  },
};

type Later = NonNullable<HttpOptions['async']>;

const termsOf = ({ signing }: HttpOptions, { state, done, failed }: Later): AnswerTerms => ({ signing: signing ?? null, state, done, failed });

function submitted(content: Json, { id, statusUrl }: Later): HandledOutcome {
  const remoteId = at(content, id);
  const named = typeof remoteId === 'string' || typeof remoteId === 'number';
  if (!named && statusUrl !== undefined) return { error: rowError('invalid_answer', `The service has taken the row and says nothing at ${id}, so that it cannot be asked how far it is.`) };
  return { submitted: { remoteId: named ? String(remoteId).slice(0, 500) : null } };
}

const remoteFailure = (content: Json, { error }: Later): FinishedOutcome => ({ error: rowError('remote_failed', `The service could not do it: ${messageOf(at(content, error)) || 'it does not say why.'}`) });

function laterAnswers(options: HttpOptions, later: Later, terms: AnswerTerms, ask: (remoteId: string, signal: AbortSignal) => Promise<Json | null>): LaterAnswers {
  return {
    terms, deadlineMs: later.deadlineMinutes * 60_000,
    take: (answer) => (judge(terms, answer, 'done') === 'failed' ? remoteFailure(answer, later) : mapped(answer, options)),
    ask: later.statusUrl === undefined ? null : { everyMs: later.pollSeconds * 1000, answer: ask },
  };
}

/** An answer for many rows: each entry is its row's, by id. */
function entriesOf(rows: HandledRow[], content: Json, options: HttpOptions): HandledOutcome[] {
  const entries = at(content, '/rows');
  const byId = Map.groupBy(Array.isArray(entries) ? entries : [], (entry) => String(at(entry, '/id') ?? ''));
  return rows.map(({ key }) => {
    const [entry, ...more] = byId.get(key) ?? [];
    if (entry === undefined || more.length > 0) return { error: rowError('invalid_answer', `The service's answer has ${entry === undefined ? 'no entry' : 'several entries'} for this row.`) };
    const error = at(entry, '/error');
    return error === undefined || error === null ? mapped(entry, options) : { error: rowError('service_refused', `The service refused the row: ${messageOf(error)}`) };
  });
}

/** `http`: calls the user's own service for every row, and takes its answer for the output. */
import { SheafError } from '../contracts/errors.ts';
import type { Cell, Json } from '../contracts/row.ts';
import { digest } from '../domain/hashing.ts';
import { signatureHeaders } from '../domain/signature.ts';
import { fillJson, fillText, placesIn } from '../domain/template.ts';
import { at } from '../domain/json-pointer.ts';
import { requireColumns } from './columns.ts';
import type { HandledOutcome, HandledRow, Handler, HandlerContext } from './handler.ts';
import { failureOf, mapped, messageOf, parsed, rowError, unanswered, type ServiceAnswer } from './http-answer.ts';
import { httpOptions, type HttpOptions } from './http-options.ts';

const MAX_ANSWER_BYTES = 1 << 20;
const MAX_URL_CHARS = 8_192;
const SECRET_PLACE = /\{\{\s*secret:\s*([A-Za-z0-9_-]{1,64})\s*\}\}/g;
/** Places that are no column. */
const OWN_PLACES = new Set(['$key', '$row', '$call']);
const WHOLE_ROW: Json = { key: '{{$key}}', row: '{{$row}}', input: null };

export const http: Handler<HttpOptions> = {
  name: 'http',
  version: 1,
  summary: 'Calls your own service for every row.',
  options: httpOptions,
  work: 'costly',
  async prepare(options, context) {
    const service = openService(options, context);
    const { rowsPerRequest } = options;
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
      handle: async (rows, signal) => {
        const answer = await service.call(rows, signal);
        if (!('status' in answer)) return rows.map(() => answer);
        const failure = failureOf(answer);
        if (failure) return rows.map(() => failure);
        const content = answer.body === '' ? null : parsed(answer.body);
        if (content === undefined) return rows.map(() => ({ error: rowError('invalid_answer', "The service's answer is no JSON.") }));
        return rowsPerRequest === 1 ? [mapped(content, options)] : entriesOf(rows, content, options);
      },
      close: async () => {},
    };
  },
};

interface Service {
  /** Columns that go into requests; null: all. */
  reads: string[] | null;
  /** The answer, with no secret in it, or what became of the rows without one. */
  call(rows: HandledRow[], signal: AbortSignal): Promise<ServiceAnswer | HandledOutcome>;
}

/** Throws where a column, or a secret, is not there: before the first call. */
function openService(options: HttpOptions, context: HandlerContext): Service {
  const { url, method, body, headers, signing, rowsPerRequest } = options;
  const wrong = (field: string, message: string): SheafError => new SheafError('invalid_options', `Options of handler "http": ${message}`, { place: { field: `options.${field}` } });
  const { host } = new URL(url);
  const sendsBody = method !== 'GET';
  if (!sendsBody && (body !== undefined || rowsPerRequest > 1)) throw wrong('method', 'a GET has no body, and asks for one row');
  if (rowsPerRequest > 1 && placesIn(url).length > 0) throw wrong('rowsPerRequest', 'an address with {{Column}} is that of one row');

  const named = (field: string, template: Json): string[] => {
    const columns = placesIn(template).filter((name) => !OWN_PLACES.has(name));
    requireColumns(columns, context.columns, `options.${field}`);
    return columns;
  };
  const inHeaders = Object.entries(headers).flatMap(([name, value]) => placesIn(value).map((place) => ({ name, place })));
  const unknown = inHeaders.find(({ place }) => !place.startsWith('secret:'));
  if (unknown) throw wrong(`headers.${unknown.name}`, `{{${unknown.place}}} cannot be in a header; {{secret:NAME}} can`);
  const columns = [...named('url', url), ...(body === undefined ? [] : named('body', body))];
  const secretNames = [...new Set(Object.values(headers).flatMap((value) => Array.from(value.matchAll(SECRET_PLACE), ([, name]) => name!)))];
  const secrets = (): Map<string, string> => new Map(secretNames.map((name) => [name, context.secret(name, host)]));
  secrets();
  if (signing !== undefined) context.secret(signing, null);

  const bodyOf = ({ key, row, input, callKey }: HandledRow): Json => {
    const own: Record<string, Cell> = { $key: key, $row: row, $call: callKey ?? null };
    if (body === undefined) return { ...(fillJson(WHOLE_ROW, (name) => own[name] ?? null) as object), input: { ...input } };
    return fillJson(body, (name) => (OWN_PLACES.has(name) ? own[name]! : input[name] ?? null));
  };

  return {
    reads: body === undefined && sendsBody ? null : columns,
    async call(rows, signal) {
      const [first] = rows as [HandledRow, ...HandledRow[]];
      const address = fillText(url, (name) => (name === '$key' ? first.key : name === '$row' ? first.row : name === '$call' ? first.callKey! : first.input[name] ?? null), encodeURIComponent);
      if (address.length > MAX_URL_CHARS) return { error: rowError('service_refused', 'The address that this row makes is too long.') };
      const sent = !sendsBody ? null : JSON.stringify(rowsPerRequest === 1 ? bodyOf(first) : { rows: rows.map((row) => ({ id: row.key, body: bodyOf(row) })) });
      const callKey = rows.length === 1 ? first.callKey! : digest(JSON.stringify(rows.map((row) => row.callKey)));
      const values = secrets();
      const all = {
        accept: 'application/json', 'user-agent': 'sheaf', 'idempotency-key': callKey, ...(sendsBody && { 'content-type': 'application/json' }),
        ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.replaceAll(SECRET_PLACE, (_, secret: string) => values.get(secret)!)])),
        ...(signing !== undefined && signatureHeaders(context.secret(signing, null), callKey, sent ?? '', Date.now())),
      };
      try {
        const timeMs = options.timeoutSeconds * 1000;
        const answer = await context.web.request({
          url: address, method, headers: all, signal, ...(sent !== null && { body: sent }),
          limits: { bytes: MAX_ANSWER_BYTES, inflatedBytes: MAX_ANSWER_BYTES, answerMs: timeMs, totalMs: timeMs },
        });
        return { status: answer.status, headers: answer.headers, body: withoutSecrets(answer.body.toString(), [...values.values()]) };
      } catch (error) {
        if (error instanceof SheafError) return unanswered(error);
        throw error;
      }
    },
  };
}

/** A service may say in its answer what it was sent; that is kept. */
function withoutSecrets(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets.flatMap((value) => [value, value.replace(/^(Bearer|Basic) /, '')])) {
    clean = clean.replaceAll(secret, '[secret]').replaceAll(JSON.stringify(secret).slice(1, -1), '[secret]');
  }
  return clean;
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

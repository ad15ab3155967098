/** Requests to the user's service, made of rows: templates filled in, secrets put in and taken out again, signatures. */
import { SheafError } from '../contracts/errors.ts';
import type { Cell, HandledOutcome, Json } from '../contracts/row.ts';
import { digest } from '../domain/hashing.ts';
import { typedRow } from '../domain/infer.ts';
import { signatureHeaders } from '../domain/signature.ts';
import { fillJson, fillText, placesIn } from '../domain/template.ts';
import { requireColumns } from './columns.ts';
import type { HandledRow, HandlerContext } from './handler.ts';
import { parsed, rowError, unanswered, type ServiceAnswer } from './http-answer.ts';
import type { HttpOptions } from './http-options.ts';

const MAX_ANSWER_BYTES = 1 << 20;
const MAX_URL_CHARS = 8_192;
const SECRET_PLACE = /\{\{\s*secret:\s*([A-Za-z0-9_-]{1,64})\s*\}\}/g;
/** Places that are no column. */
const OWN_PLACES: ReadonlySet<string> = new Set(['$key', '$row', '$call', '$callback']);

export interface Service {
  /** Columns that go into requests; null: all. */
  reads: string[] | null;
  /** The answer, with no secret in it, or what became of the rows without one. */
  call(rows: HandledRow[], signal: AbortSignal): Promise<ServiceAnswer | HandledOutcome>;
  /** How far it is with what it took; null: it said nothing that could be used. */
  ask(remoteId: string, signal: AbortSignal): Promise<Json | null>;
}

/** Throws where a column, or a secret, is not there: before the first call. */
export function openService(options: HttpOptions, context: HandlerContext): Service {
  const { url, method, body, headers, signing, rowsPerRequest, async: later } = options;
  const sendsBody = method !== 'GET';
  const timeMs = options.timeoutSeconds * 1000;
  const columns = checkedColumns(options, context);
  const secretNames = [...new Set(Object.values(headers).flatMap((value) => Array.from(value.matchAll(SECRET_PLACE), ([, name]) => name!)))];

  /** Of the host that it goes to. */
  const headersFor = (address: string): { filled: Record<string, string>; secrets: string[] } => {
    const { host } = new URL(address);
    const values = new Map(secretNames.map((name) => [name, context.secret(name, host)]));
    const filled = Object.entries(headers).map(([name, value]) => [name, value.replaceAll(SECRET_PLACE, (_, secret: string) => values.get(secret)!)]);
    return { filled: { accept: 'application/json', 'user-agent': 'sheaf', ...(Object.fromEntries(filled) as Record<string, string>) }, secrets: [...values.values()] };
  };
  for (const address of [url, ...(later?.statusUrl === undefined ? [] : [later.statusUrl])]) headersFor(address);
  if (signing !== undefined) context.secret(signing, null);

  const placeOf = ({ key, row, input, callKey, callback }: HandledRow) => {
    const own: Record<string, Cell> = { $key: key, $row: row, $call: callKey ?? null, $callback: callback ?? null };
    return (name: string): Cell => (OWN_PLACES.has(name) ? own[name]! : input[name] ?? null);
  };
  const bodyOf = (row: HandledRow): Json =>
    (body === undefined ? { key: row.key, row: row.row, input: typedRow(row.input), ...(later && { callback: row.callback ?? null }) } : fillJson(body, placeOf(row)));

  const request = async (asked: { url: string; method: HttpOptions['method']; body?: string; headers: Record<string, string>; signal: AbortSignal }, secrets: readonly string[]): Promise<ServiceAnswer> => {
    const answer = await context.web.request({ ...asked, limits: { bytes: MAX_ANSWER_BYTES, inflatedBytes: MAX_ANSWER_BYTES, answerMs: timeMs, totalMs: timeMs } });
    return { status: answer.status, headers: answer.headers, body: withoutSecrets(answer.body.toString(), secrets) };
  };

  return {
    reads: body === undefined && sendsBody ? null : columns,

    async call(rows, signal) {
      const [first] = rows as [HandledRow, ...HandledRow[]];
      const address = fillText(url, placeOf(first), encodeURIComponent);
      if (address.length > MAX_URL_CHARS) return { error: rowError('service_refused', 'The address that this row makes is too long.') };
      const sent = sendsBody ? JSON.stringify(rowsPerRequest === 1 ? bodyOf(first) : { rows: rows.map((row) => ({ id: row.key, body: bodyOf(row) })) }) : undefined;
      const callKey = rows.length === 1 ? first.callKey! : digest(JSON.stringify(rows.map((row) => row.callKey)));
      try {
        const { filled, secrets } = headersFor(url);
        return await request({
          url: address, method, signal, ...(sent !== undefined && { body: sent }),
          headers: {
            ...filled, 'idempotency-key': callKey, ...(sendsBody && { 'content-type': 'application/json' }),
            ...(signing !== undefined && signatureHeaders(context.secret(signing, null), callKey, sent ?? '', Date.now())),
          },
        }, secrets);
      } catch (error) {
        if (error instanceof SheafError) return unanswered(error);
        throw error;
      }
    },

    async ask(remoteId, signal) {
      const address = fillText(later!.statusUrl!, () => remoteId, encodeURIComponent);
      try {
        const { filled, secrets } = headersFor(later!.statusUrl!);
        const signed = signing === undefined ? {} : signatureHeaders(context.secret(signing, null), digest(`${address} ${Date.now()}`), '', Date.now());
        const { status, body } = await request({ url: address, method: 'GET', signal, headers: { ...filled, ...signed } }, secrets);
        return status >= 200 && status < 300 ? parsed(body) ?? null : null;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof SheafError) return null;
        throw error;
      }
    },
  };
}

/** Columns that the templates name. Throws `invalid_options` for what does not go together, `column_missing`. */
function checkedColumns({ url, method, body, headers, signing, rowsPerRequest, async: later }: HttpOptions, context: HandlerContext): string[] {
  const wrong = (field: string, message: string): SheafError => new SheafError('invalid_options', `Options of handler "http": ${message}`, { place: { field: `options.${field}` } });
  if (method === 'GET' && (body !== undefined || rowsPerRequest > 1)) throw wrong('method', 'a GET has no body, and asks for one row');
  if (rowsPerRequest > 1 && placesIn(url).length > 0) throw wrong('rowsPerRequest', 'an address with {{Column}} is that of one row');
  if (later && rowsPerRequest > 1) throw wrong('async', 'a service that answers later is given one row at a time');
  if (later && signing === undefined && later.statusUrl === undefined) throw wrong('async', 'name the secret of `signing`, which callbacks are signed with, or a `statusUrl` to ask at');
  if (later?.statusUrl !== undefined && placesIn(later.statusUrl).some((place) => place !== '$id')) throw wrong('async.statusUrl', 'its only place is {{$id}}');
  for (const [name, value] of Object.entries(headers)) {
    const unknown = placesIn(value).find((place) => !place.startsWith('secret:'));
    if (unknown !== undefined) throw wrong(`headers.${name}`, `{{${unknown}}} cannot be in a header; {{secret:NAME}} can`);
  }
  const named = (field: string, template: Json): string[] => {
    const columns = placesIn(template).filter((name) => !OWN_PLACES.has(name));
    requireColumns(columns, context.columns, `options.${field}`);
    return columns;
  };
  return [...new Set([...named('url', url), ...(body === undefined ? [] : named('body', body))])];
}

/** A service may say in its answer what it was sent; that is not kept. */
function withoutSecrets(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) clean = clean.replaceAll(secret, '[secret]').replaceAll(JSON.stringify(secret).slice(1, -1), '[secret]');
  return clean;
}

/** What a service's answer means for the row: an output, a failure of the row, or that no row can be handled. */
import type { SheafError } from '../contracts/errors.ts';
import type { FinishedOutcome, HandledOutcome, Json, RowFailure } from '../contracts/row.ts';
import { at } from '../domain/json-pointer.ts';
import { retryAfterMs } from '../domain/retry-after.ts';
import type { HttpOptions } from './http-options.ts';

const MOST_MESSAGE = 300;
const MOST_RETRY_AFTER_SECONDS = 3_600;

export interface ServiceAnswer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
}

export type Mapping = Pick<HttpOptions, 'output' | 'cost' | 'tokens'>;

/** Of a row whose work is done. */
export function mapped(answer: Json, { output, cost, tokens }: Mapping): FinishedOutcome {
  const spent = { ...amount('cost', at(answer, cost)), ...amount('tokens', at(answer, tokens)) };
  if (!output) return { output: answer, ...spent };
  const found = Object.entries(output).map(([name, pointer]): [string, Json | undefined] => [name, at(answer, pointer)]);
  if (found.every(([, value]) => value === undefined)) {
    return { ...spent, error: rowError('invalid_answer', `The service's answer has nothing at ${Object.values(output).slice(0, 5).join(', ')}.`) };
  }
  return { output: Object.fromEntries(found.map(([name, value]) => [name, value ?? null])), ...spent };
}

const amount = <Name extends string>(name: Name, value: Json | undefined): { [Key in Name]?: number } =>
  (typeof value === 'number' && value >= 0 ? { [name]: value } : {}) as { [Key in Name]?: number };

export const rowError = (code: string, message: string, retryable = false): RowFailure => ({ code, message, retryable });

/** Null: it is no failure. */
export function failureOf({ status, headers, body }: ServiceAnswer): HandledOutcome | null {
  if (status >= 200 && status < 300) return null;
  const said = messageIn(body);
  const text = `The service answered ${status}${said === '' ? '' : `: ${said}`}`;
  if (status >= 300 && status < 400) {
    return { halt: { code: 'service_redirected', message: `The service answered ${status} and sends the request elsewhere; it was not sent there.`, remedy: 'Put the address that it names into the option `url`.' } };
  }
  if (status === 401 || status === 403 || status === 407) {
    return { halt: { code: 'service_denied', message: text, remedy: 'Correct the secret or the headers, then `sheaf job retry ID`: it goes on with the rows that remain.' } };
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    const wait = retryAfterMs(headers['retry-after']);
    return { error: rowError(status === 429 ? 'service_busy' : 'service_failed', text, true), ...(wait && { retryAfterSeconds: Math.min(Math.ceil(wait / 1_000), MOST_RETRY_AFTER_SECONDS) }) };
  }
  return { error: rowError('service_refused', text) };
}

/** What is wrong with the address, or a secret, is so for every row. */
const FOR_EVERY_ROW: ReadonlySet<string> = new Set(['url_invalid', 'url_not_allowed', 'dns_failed', 'tls_failed', 'secret_unknown', 'secret_not_allowed']);

/** No answer at all. */
export const unanswered = (error: SheafError): HandledOutcome =>
  (FOR_EVERY_ROW.has(error.code) ? { halt: error.body() } : { error: rowError(error.code, error.message, error.retryable) });

/** What a row's own `error` says, in an answer or in one of its entries. */
export const messageOf = (error: Json | undefined): string => {
  const text = typeof error === 'string' ? error : error === undefined || error === null ? '' : String(at(error, '/message') ?? at(error, '/detail') ?? at(error, '/code') ?? JSON.stringify(error));
  return text.slice(0, MOST_MESSAGE);
};

function messageIn(body: string): string {
  const json = parsed(body);
  if (json === undefined || json === null || typeof json !== 'object') return body.replaceAll(/\s+/g, ' ').trim().slice(0, MOST_MESSAGE);
  return messageOf(at(json, '/error') ?? json);
}

/** Undefined: it is no JSON. */
export function parsed(body: string): Json | undefined {
  try {
    return JSON.parse(body) as Json;
  } catch {
    return undefined;
  }
}

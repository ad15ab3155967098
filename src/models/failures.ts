/** What the failures of model servers mean, whatever the provider calls them. */
import { APICallError } from '@ai-sdk/provider';
import { retryAfterMs } from '../domain/retry-after.ts';
import { ModelError } from './language-model.ts';

/** A server that says "too often" without saying for how long is left alone for so long. */
const DEFAULT_HOLD_SECONDS = 5;
/** Nobody means more. */
const MOST_HOLD_SECONDS = 3_600;

const says = (...patterns: RegExp[]) => (text: string): boolean => patterns.some((pattern) => pattern.test(text));
const isQuota = says(/insufficient_quota/i, /billing_(hard_limit|error|not_active)/i, /credit balance is too low/i, /exceeded your current quota, please check your plan and billing/i, /insufficient (balance|credits|funds)/i);
const isContext = says(/context_length_exceeded/i, /maximum context length/i, /prompt is too long/i, /input token count .*exceeds/i, /request_too_large/i, /context (window|size|length)/i);
const isRefusal = says(/content_filter/i, /content_policy_violation/i, /content management policy/i, /blocked by (our|the) (safety|content)/i);
const isKey = says(/API_KEY_INVALID/, /api key not valid/i, /invalid_api_key/i);

/** `name`: of the model, as the user knows it. */
export function sorted(error: unknown, name: string): ModelError {
  if (error instanceof ModelError) return error;
  if (!APICallError.isInstance(error) || error.statusCode === undefined) return new ModelError('model_unreachable', `The server of ${name} cannot be reached.`, { retryable: true, cause: error });
  const { statusCode: status, responseBody = '' } = error;
  const more = { cause: error };
  if (status < 400) return new ModelError('model_unreachable', `The server of ${name} sent an answer that is damaged.`, { retryable: true, ...more });
  if (status === 402 || isQuota(responseBody)) return new ModelError('quota_exhausted', `The account of ${name} has nothing left to pay with.`, more);
  if (status === 401 || status === 403 || isKey(responseBody)) return new ModelError('model_key_rejected', `The server of ${name} does not accept the key (${status}).`, more);
  if (status === 413 || (status === 400 && isContext(responseBody))) return new ModelError('context_too_long', `The row is longer than ${name} reads at once.`, more);
  if (status === 400 && isRefusal(responseBody)) return new ModelError('content_refused', `${name} refuses to work on this row's content.`, more);
  if (status === 404) return new ModelError('model_not_found', `The server knows no model ${name}.`, more);
  const hold = holdOf(error.responseHeaders ?? {});
  if (status === 429) return new ModelError('rate_limited', `${name} was asked too often.`, { retryable: true, retryAfterSeconds: hold ?? DEFAULT_HOLD_SECONDS, ...more });
  if (status >= 500 || status === 408 || status === 409 || status === 425) {
    return new ModelError('model_overloaded', `The server of ${name} cannot answer for now (${status}).`, { retryable: true, retryAfterSeconds: hold, ...more });
  }
  return new ModelError('model_refused_request', `The server of ${name} does not take the request (${status}).`, more);
}

/** Seconds of `Retry-After`, here also with a fraction, or of its form in milliseconds. */
function holdOf({ 'retry-after-ms': milliseconds, 'retry-after': after }: Record<string, string>): number | undefined {
  const ms = milliseconds !== undefined ? Number(milliseconds) : Number.isFinite(Number(after)) ? Number(after) * 1_000 : retryAfterMs(after);
  return ms !== null && Number.isFinite(ms) && ms > 0 ? Math.min(ms / 1_000, MOST_HOLD_SECONDS) : undefined;
}

/** Takes what a service says of a row that it was given, where it is proven to be the service. */
import type { IncomingHttpHeaders } from 'node:http';
import { SheafError } from '../contracts/errors.ts';
import type { IntentRecord } from '../contracts/intent.ts';
import type { Json } from '../contracts/row.ts';
import { judge } from '../domain/later-answers.ts';
import { isSigned } from '../domain/signature.ts';
import { isToken, readCallbackToken } from '../temporal/callback-address.ts';
import type { ApiContext } from './context.ts';

type Deps = Pick<ApiContext, 'store' | 'secrets' | 'answerCalls'>;

/**
 * `submitted`: the work goes on. `answered`: it is kept, or another was before. Rejects with `callback_unknown`, `signature_invalid`,
 * `invalid_request`.
 */
export async function takeCallback(deps: Deps, address: string, headers: IncomingHttpHeaders, body: Buffer): Promise<'submitted' | 'answered'> {
  let intent = await find(deps, address);
  if (!isSigned(deps.secrets(intent.terms.signing!, { tenant: intent.tenant, host: null }), headers, body, Date.now())) {
    throw new SheafError('signature_invalid', 'The callback is not signed with the secret that the job names, or its time is more than five minutes off.', {
      remedy: 'Sign `${webhook-id}.${webhook-timestamp}.${body}` with HMAC-SHA256, as Standard Webhooks says.',
    });
  }
  const answer = parsed(body);
  if (judge(intent.terms, answer, 'done') === 'going_on') return 'submitted';
  while (intent.answer === null) {
    const kept = await deps.store.changeIntent({ ...intent, state: 'answered', answer });
    if (kept) deps.answerCalls.came({ tenant: kept.tenant, jobId: kept.job });
    intent = kept ?? (await find(deps, address));
  }
  return 'answered';
}

/** Rejects with `callback_unknown`, whatever is wrong with the address. */
async function find({ store }: Deps, address: string): Promise<IntentRecord> {
  const given = readCallbackToken(address);
  const intent = given && (await store.getIntent(given.tenant, given.id));
  if (given && intent && intent.terms.signing !== null && isToken(given.token, intent)) return intent;
  throw new SheafError('callback_unknown', 'Nobody waits for this: the row was changed, sent anew or deleted since, or the address is wrong.');
}

function parsed(body: Buffer): Json {
  try {
    const answer = JSON.parse(body.toString()) as Json;
    if (answer !== null && typeof answer === 'object') return answer;
  } catch {
    // As below.
  }
  throw new SheafError('invalid_request', 'The callback is no JSON object.');
}

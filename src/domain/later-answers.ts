/** What an answer of a service says of work that it was given earlier. */
import type { AnswerTerms } from '../contracts/intent.ts';
import type { Json } from '../contracts/row.ts';
import { at } from './json-pointer.ts';

/** `unsaid`: what it means that it says nothing of its state. */
export function judge({ state, done, failed }: Pick<AnswerTerms, 'state' | 'done' | 'failed'>, answer: Json, unsaid: 'done' | 'going_on'): 'done' | 'failed' | 'going_on' {
  const said = at(answer, state);
  if (said === undefined || said === null) return unsaid;
  const name = String(said).trim().toLowerCase();
  if (done.includes(name)) return 'done';
  return failed.includes(name) ? 'failed' : 'going_on';
}

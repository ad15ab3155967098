/** How commands name jobs: one by its id, many by their states. */
import { InvalidArgumentError } from 'commander';
import { JOB_STATES } from '../contracts/job.ts';

export const jobPath = (id: string, rest = ''): string => `/jobs/${encodeURIComponent(id)}${rest}`;

/** Of an option that may be repeated. */
export function collectState(state: string, before: string[] = []): string[] {
  if (!(JOB_STATES as readonly string[]).includes(state)) throw new InvalidArgumentError(`It must be one of ${JOB_STATES.join(', ')}.`);
  return [...before, state];
}

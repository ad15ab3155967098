import { SheafError } from '../contracts/errors.ts';

/** What is said to a key that comes with another request than before. */
export const idempotencyConflict = (): SheafError => new SheafError('idempotency_conflict', 'The Idempotency-Key was used for a different request before.', {
  remedy: 'Use a new key for a new request, or send the first request again unchanged.',
});

import type { BreakerOptions } from '../contracts/job.ts';
import type { ErrorBody } from '../contracts/errors.ts';

/** The circuit breaker: whether so many of the rows that an attempt has tried failed that going on is a waste. */
export function breakerTripped(breaker: BreakerOptions | null, totals: { tried: number; faults: number }): boolean {
  return breaker !== null && totals.tried >= breaker.minRows && totals.faults > breaker.maxFailedFraction * totals.tried;
}

export function breakerError(breaker: BreakerOptions, totals: { tried: number; faults: number }): ErrorBody {
  const share = Math.round((totals.faults / totals.tried) * 100);
  return {
    code: 'circuit_breaker',
    message: `${totals.faults} of the ${totals.tried} rows tried failed (${share} %; at most ${Math.round(breaker.maxFailedFraction * 100)} % may). The job was stopped; what is done stays done.`,
    remedy: "Look at the failed rows (`sheaf job items ID --state failed`), mend the cause, then `sheaf job retry ID`. The breaker can be set or turned off when a job is created.",
  };
}

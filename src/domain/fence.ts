/**
 * The fence orders writers of one item or page: (lane generation, job attempt, page dispatch, activity attempt), most
 * significant first, in one positive 64-bit integer. A lower fence never overwrites a higher one, so that a late or
 * zombie writer changes nothing. Each part stops at its greatest value instead of running into the next.
 */
export interface FenceParts {
  /** Raised at each admission to the lane. 24 bits. */
  generation: number;
  /** The job's attempt. 11 bits. */
  attempt: number;
  /** How often the workflow has dispatched pages in this attempt; grows with every dispatch. 20 bits. */
  dispatch: number;
  /** Temporal's attempt of the activity. 8 bits. */
  activityAttempt: number;
}

const part = (value: number, bits: number): bigint => BigInt(Math.min(value, 2 ** bits - 1));

export function fence(parts: FenceParts): bigint {
  return (
    (part(parts.generation, 24) << 39n) |
    (part(parts.attempt, 11) << 28n) |
    (part(parts.dispatch, 20) << 8n) |
    part(parts.activityAttempt, 8)
  );
}

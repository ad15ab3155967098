/** What a worker tells the broker of a limit. Times are the worker's monotonic clock. */
export interface Report {
  seq: number;
  used: { grant: number; at: number; calls: number; tokens: number }[];
  returned: { grant: number; calls: number }[];
}

const TOLD_TOGETHER_MS = 5;

/** Calls of one grant that are told at the same time are told as one, at the latest of their moments within a few milliseconds. */
export function together(used: Report['used']): Report['used'] {
  const merged: Report['used'] = [];
  for (const one of used.toSorted((a, b) => a.grant - b.grant || b.at - a.at)) {
    const last = merged.at(-1);
    if (last !== undefined && last.grant === one.grant && last.at - one.at < TOLD_TOGETHER_MS && (last.calls > 0) === (one.calls > 0)) {
      last.calls += one.calls;
      last.tokens += one.tokens;
    } else {
      merged.push({ ...one });
    }
  }
  return merged;
}

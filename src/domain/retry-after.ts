/** The header `Retry-After` (RFC 9110): seconds, or a date. In milliseconds from now, 0 for a date that is over; null where it is not there or says nothing. */
export function retryAfterMs(header: string | null | undefined): number | null {
  if (header == null) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

/** Counts of what a sweep removed, by tenant. */
import type { Tally } from '../contracts/system.ts';

/** Adds to the tenant's entry, or makes it. */
export function addTo(tallies: Tally[], { tenant, count, bytes }: Tally): void {
  const found = tallies.find((tally) => tally.tenant === tenant);
  if (found === undefined) {
    tallies.push({ tenant, count, bytes });
    return;
  }
  found.count += count;
  found.bytes += bytes;
}

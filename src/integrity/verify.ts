/**
 * Compares what the store, the blobs and the ledger say of the same things, for every tenant, while work goes on. What looks
 * wrong is looked at once more before it is told; `repair` does what needs no person.
 */
import type { Finding, Parts } from './finding.ts';
import { documentSuspicions } from './documents.ts';
import { jobSuspicions } from './jobs.ts';
import { sourceSuspicions } from './sources.ts';

/** Rejects with `store_unavailable`, `blobs_unavailable`: then nothing can be said. */
export async function* verify(parts: Parts, { repair, tenant }: { repair: boolean; tenant?: string }): AsyncGenerator<Finding> {
  for (const one of tenant === undefined ? await parts.store.tenants() : [tenant]) {
    for (const suspicions of [jobSuspicions, sourceSuspicions, documentSuspicions]) {
      for await (const { stillSo, repair: mend, ...suspicion } of suspicions(parts, one)) {
        if (!(await stillSo())) continue;
        if (!repair) yield { ...suspicion, outcome: 'found' };
        else if (mend === null) yield { ...suspicion, outcome: 'unrepairable' };
        else {
          await mend();
          yield { ...suspicion, outcome: 'repaired' };
        }
      }
    }
  }
}

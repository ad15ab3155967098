/** Pages of a task one after the other. */

/** A page of which no row is being handled any more. */
export interface HandledPage<Run> {
  /** As far as is known, each of its rows has an outcome. */
  through: boolean;
  /** Settled when its last rows are committed and its result is written. */
  over: Promise<Run>;
}

/**
 * For as long as pages come through and `mayGoOn`: the rows of one are handled while the end of the one before is being written, else nothing
 * would be made meanwhile. `broken` is called when writing fails. Settled when all that were begun are over.
 */
export async function inTurn<Run extends { complete: boolean }>(
  first: number, last: number, { handle, mayGoOn, broken }: { handle(page: number): Promise<HandledPage<Run>>; mayGoOn(): boolean; broken(): void },
): Promise<Run[]> {
  const runs: Promise<Run>[] = [];
  try {
    for (let page = first; page <= last; page++) {
      const before = runs.at(-1);
      const { through, over } = await handle(page);
      runs.push(over);
      over.catch(broken);
      if ((before && !(await before).complete) || !through || !mayGoOn()) break;
    }
  } finally {
    await Promise.allSettled(runs);
  }
  return Promise.all(runs);
}

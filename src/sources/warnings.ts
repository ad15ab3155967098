/** What a person should know about a sheet, collected while it is read: bounded, and the same however often it is read. */
import type { SheetWarning } from '../contracts/row.ts';

const MOST = 100;

export class Warnings {
  /** At most 100; the last then says how many more there were. */
  readonly list: SheetWarning[] = [];
  readonly #known = new Set<string>();
  readonly #tallies = new Map<string, { warning: SheetWarning; count: number }>();
  #further = 0;

  add(warning: SheetWarning): void {
    const key = `${warning.code} ${warning.row ?? ''} ${warning.column ?? ''}`;
    if (this.#known.has(key)) return;
    if (this.list.length < MOST - 1) {
      this.#known.add(key);
      this.list.push(warning);
      return;
    }
    this.#further += 1;
    this.list[MOST - 1] = { code: 'more_warnings', message: `${this.#further} further warnings` };
  }

  /** One warning for all places of one code; it names the first and counts the rest. */
  tally(code: string, place: { row: number; column?: string }, message: (count: number) => string, places = 1): void {
    let tally = this.#tallies.get(code);
    if (!tally) {
      tally = { warning: { code, message: '', ...place }, count: 0 };
      this.#tallies.set(code, tally);
      this.add(tally.warning);
    }
    tally.count += places;
    tally.warning.message = message(tally.count);
  }

  /** Before the sheet is read again from its beginning: places are counted anew. */
  restart(): void {
    for (const tally of this.#tallies.values()) tally.count = 0;
  }
}

/**
 * Compares two contents of a source: which row of one is which of the other. Eight to sixteen bytes a row on each side; rows
 * themselves stay where they are. Blank rows are no rows here.
 */
import type { VersionCounts } from '../contracts/source.ts';
import type { PageRow } from '../contracts/row.ts';
import { doubled } from './doubled.ts';
import { hash53 } from './duplicates.ts';
import { digest } from './hashing.ts';

/** Over what the columns are called, in any order, and the rows in theirs. */
export const contentHashOf = (rowsHash: string, columns: readonly string[]): string => digest(JSON.stringify([rowsHash, columns.toSorted()]));

/** The rows of a content in order, as numbers. */
export class RowIndex {
  #keys = new Float64Array(1 << 10);
  #rows = new Float64Array(1 << 10);
  length = 0;

  add({ key, rowHash }: Pick<PageRow, 'key' | 'rowHash'>): void {
    if (this.length === this.#rows.length) {
      this.#keys = new Float64Array(doubled(this.#keys));
      this.#rows = new Float64Array(doubled(this.#rows));
    }
    this.#keys[this.length] = hash53(key ?? '');
    this.#rows[this.length++] = hash53(rowHash);
  }

  key(at: number): number {
    return this.#keys[at]!;
  }

  row(at: number): number {
    return this.#rows[at]!;
  }

  keySet(): KeySet {
    const keys = new KeySet();
    for (let at = 0; at < this.length; at++) keys.addHash(this.key(at));
    return keys;
  }
}

/** Keys by their hashes. That two of a million are taken for one is as likely as 1 in 20,000; the row then stays where it is. */
export class KeySet {
  readonly #hashes = new Set<number>();

  addHash(hash: number): void {
    this.#hashes.add(hash);
  }

  /** False where it was there before. */
  add(key: string): boolean {
    const hash = hash53(key);
    if (this.#hashes.has(hash)) return false;
    this.#hashes.add(hash);
    return true;
  }
}

/** For each row after, which row before it is; -1: none, it is new. */
export type Alignment = Int32Array;

/** By what names the rows; of several rows with one key the first is the first, the second the second. */
export function alignByKey(before: RowIndex, after: RowIndex): Alignment {
  const known = new Map<number, number>();
  const next = new Int32Array(before.length);
  for (let at = before.length - 1; at >= 0; at--) {
    next[at] = known.get(before.key(at)) ?? -1;
    known.set(before.key(at), at);
  }
  const aligned = new Int32Array(after.length).fill(-1);
  for (let at = 0; at < after.length; at++) {
    const found = known.get(after.key(at));
    if (found === undefined) continue;
    aligned[at] = found;
    if (next[found]! < 0) known.delete(after.key(at));
    else known.set(after.key(at), next[found]!);
  }
  return aligned;
}

/**
 * By what stands in the rows, in their order: rows that occur once on either side are fixed points, whatever stands between two
 * of them belongs together. A row that was inserted leaves those below it what they were.
 */
export function alignByContent(before: RowIndex, after: RowIndex): Alignment {
  const aligned = new Int32Array(after.length).fill(-1);
  const fit = (fromBefore: number, toBefore: number, fromAfter: number, toAfter: number): void => {
    while (fromBefore < toBefore && fromAfter < toAfter && before.row(fromBefore) === after.row(fromAfter)) aligned[fromAfter++] = fromBefore++;
    while (fromBefore < toBefore && fromAfter < toAfter && before.row(toBefore - 1) === after.row(toAfter - 1)) aligned[--toAfter] = --toBefore;
    if (fromBefore === toBefore || fromAfter === toAfter) return;
    const points = fixedPoints(before, after, fromBefore, toBefore, fromAfter, toAfter);
    if (points.length === 0) {
      // Nothing in common: as many as stand against each other have changed, the rest is new or gone.
      while (fromBefore < toBefore && fromAfter < toAfter) aligned[fromAfter++] = fromBefore++;
      return;
    }
    let [atBefore, atAfter] = [fromBefore, fromAfter];
    for (const [pointBefore, pointAfter] of points) {
      fit(atBefore, pointBefore, atAfter, pointAfter);
      aligned[pointAfter] = pointBefore;
      [atBefore, atAfter] = [pointBefore + 1, pointAfter + 1];
    }
    fit(atBefore, toBefore, atAfter, toAfter);
  };
  fit(0, before.length, 0, after.length);
  return aligned;
}

function fixedPoints(before: RowIndex, after: RowIndex, fromBefore: number, toBefore: number, fromAfter: number, toAfter: number): [number, number][] {
  const once = (index: RowIndex, from: number, to: number): Map<number, number> => {
    const places = new Map<number, number>();
    for (let at = from; at < to; at++) places.set(index.row(at), places.has(index.row(at)) ? -1 : at);
    return places;
  };
  const places = once(before, fromBefore, toBefore);
  const common: [number, number][] = [];
  for (const [row, at] of once(after, fromAfter, toAfter)) {
    const there = places.get(row);
    if (at >= 0 && there !== undefined && there >= 0) common.push([there, at]);
  }
  common.sort((one, other) => one[1] - other[1]);
  const rising = longestRising(common.map(([there]) => there));
  return common.filter((_, index) => rising[index] === 1);
}

/** Marks a longest rising run of the numbers: what has kept its order. */
function longestRising(numbers: readonly number[]): Uint8Array {
  const ends: number[] = [];
  const previous = new Int32Array(numbers.length).fill(-1);
  for (const [index, number] of numbers.entries()) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (numbers[ends[middle]!]! < number) low = middle + 1;
      else high = middle;
    }
    if (low > 0) previous[index] = ends[low - 1]!;
    ends[low] = index;
  }
  const marked = new Uint8Array(numbers.length);
  for (let at = ends.at(-1) ?? -1; at >= 0; at = previous[at]!) marked[at] = 1;
  return marked;
}

/** Of the rows after: what became of each. Rows before that none of them is, are gone. */
export type Change = 'same' | 'added' | 'changed' | 'moved';

export interface Comparison {
  counts: VersionCounts;
  /** Of the row after. */
  changeOf(at: number): Change;
  /** Whether the row before is gone. */
  isGone(at: number): boolean;
}

export function compare(before: RowIndex, after: RowIndex, aligned: Alignment): Comparison {
  const there = new Uint8Array(before.length);
  const common: number[] = [];
  for (let at = 0; at < after.length; at++) {
    if (aligned[at]! < 0) continue;
    there[aligned[at]!] = 1;
    common.push(at);
  }
  const kept = longestRising(common.map((at) => aligned[at]!));
  const moved = new Uint8Array(after.length);
  for (const [index, at] of common.entries()) if (kept[index] === 0) moved[at] = 1;
  const changeOf = (at: number): Change => {
    const from = aligned[at]!;
    if (from < 0) return 'added';
    if (before.row(from) !== after.row(at)) return 'changed';
    return moved[at] === 1 ? 'moved' : 'same';
  };
  const counts: VersionCounts = { added: 0, changed: 0, moved: 0, removed: 0 };
  for (let at = 0; at < after.length; at++) {
    const change = changeOf(at);
    if (change !== 'same') counts[change]++;
  }
  for (let at = 0; at < before.length; at++) if (there[at] === 0) counts.removed++;
  return { counts, changeOf, isGone: (at) => there[at] === 0 };
}

/** Why a removal has to be approved; null: it need not be. `gone` of `of` rows would be found no more. */
export function whyToAsk({ gone, of, rows, lostColumns, maxFraction }: {
  gone: number; of: number; rows: number; lostColumns: readonly string[]; maxFraction: number;
}): string | null {
  if (gone === 0 || of === 0) return null;
  const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;
  const what = `${gone} of ${of} rows would go (${percent(gone / of)})`;
  // A sheet that is empty all at once is no proof that its rows are gone, whatever was allowed.
  if (rows === 0) return `The sheet is empty: ${what}`;
  if (lostColumns.length > 0) return `Columns are gone as well, so it may be another sheet: ${what}`;
  return gone / of > maxFraction ? `${what}; ${percent(maxFraction)} are allowed` : null;
}

/**
 * Finds rows with the same key without holding the keys: 53-bit hashes of all of them, sorted, give the suspects;
 * reading the suspects' pages again confirms them. Eight bytes a row while the sheet is read.
 */
import type { PageRow } from '../contracts/row.ts';
import { doubled } from './doubled.ts';
import { giveBack } from './give-back.ts';

const BLANK = -1;
/** `hash53` is below. */
const HASHES = 2 ** 53;
/** Sorted one after the other, so that no second copy of all hashes is made. */
const PARTS = 8;

/** 53 bits, not cryptographic: quick and well spread (two multiplicative hashes, mixed as MurmurHash3 ends). A collision only costs a look. */
export function hash53(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}

export class KeyHashes {
  #hashes = new Float64Array(1 << 14);
  #length = 0;
  /** Index of the first row after each page. */
  #pageEnds: number[] = [];

  /** Rows in the order of the sheet; a null key is nobody's double. */
  add(key: string | null): void {
    if (this.#length === this.#hashes.length) this.#hashes = new Float64Array(doubled(this.#hashes));
    this.#hashes[this.#length++] = key === null ? BLANK : hash53(key);
  }

  endPage(): void {
    this.#pageEnds.push(this.#length);
  }

  /** Page number → positions in the page (0-based) of rows whose hash another row has too. */
  suspects(): Map<number, number[]> {
    const doubled = new Set<number>();
    for (let part = 0; part < PARTS; part++) {
      const sorted = this.#between((part * HASHES) / PARTS, ((part + 1) * HASHES) / PARTS).sort();
      for (let index = 1; index < sorted.length; index++) if (sorted[index] === sorted[index - 1]) doubled.add(sorted[index]!);
      giveBack(sorted);
    }
    const suspects = new Map<number, number[]>();
    if (doubled.size === 0) return suspects;
    let index = 0;
    this.#pageEnds.forEach((end, page) => {
      const first = index;
      const found: number[] = [];
      for (; index < end; index++) if (doubled.has(this.#hashes[index]!)) found.push(index - first);
      if (found.length > 0) suspects.set(page + 1, found);
    });
    return suspects;
  }

  #between(from: number, to: number): Float64Array {
    let count = 0;
    for (let index = 0; index < this.#length; index++) if (this.#hashes[index]! >= from && this.#hashes[index]! < to) count++;
    const found = new Float64Array(count);
    for (let index = 0, next = 0; next < count; index++) if (this.#hashes[index]! >= from && this.#hashes[index]! < to) found[next++] = this.#hashes[index]!;
    return found;
  }
}

/** Page number → (losing row → the row that won), pages and rows ascending. `last` lets the last row of a key win, else the first. */
export async function findDuplicates(
  suspects: ReadonlyMap<number, number[]>, onDuplicateKey: 'fail' | 'first' | 'last', readPage: (page: number) => Promise<PageRow[]>,
): Promise<Map<number, Map<number, number>>> {
  const winners = new Map<string, { page: number; row: number }>();
  const losers = new Map<number, Map<number, number>>();
  const lose = (page: number, row: number, winner: number): void => {
    const rows = losers.get(page) ?? new Map<number, number>();
    losers.set(page, rows.set(row, winner));
  };
  const replaced = new Map<string, { page: number; row: number }[]>();
  for (const [page, positions] of suspects) {
    const rows = await readPage(page);
    for (const position of positions) {
      const { row, key } = rows[position]!;
      const winner = winners.get(key!);
      if (winner && onDuplicateKey !== 'last') {
        lose(page, row, winner.row);
        continue;
      }
      if (winner) {
        const before = replaced.get(key!);
        if (before) before.push(winner);
        else replaced.set(key!, [winner]);
      }
      winners.set(key!, { page, row });
    }
  }
  for (const [key, rows] of replaced) for (const { page, row } of rows) lose(page, row, winners.get(key)!.row);
  return losers;
}

/** What a page's result will say, a line a row, gathered in any order. */
import type { RowResult } from '../contracts/row.ts';
import { resultLine } from './pages.ts';
import { doubled } from '../domain/doubled.ts';
import { TextBytes } from '../domain/text-bytes.ts';

const LINE_END = 10;

export class ResultLines {
  readonly #text = new TextBytes();
  /** Rows that have a line, ascending, and where it begins. Most come in this order. */
  #rows = new Uint32Array(16);
  #starts = new Uint32Array(16);
  #size = 0;

  static of(results: Iterable<RowResult>): ResultLines {
    const lines = new ResultLines();
    for (const result of results) lines.set(result.row, resultLine(result));
    return lines;
  }

  get size(): number {
    return this.#size;
  }

  has(row: number): boolean {
    const at = this.#place(row);
    return at < this.#size && this.#rows[at] === row;
  }

  /** `line`: of `resultLine`. One that the row has already is replaced. */
  set(row: number, line: string): void {
    const start = this.#text.append(line);
    const at = this.#place(row);
    if (at === this.#size || this.#rows[at] !== row) this.#makeRoom(at);
    this.#rows[at] = row;
    this.#starts[at] = start;
  }

  /** All of them, ascending by row. No copy where they came in this order. */
  inOrder(): Uint8Array {
    const { bytes } = this.#text;
    const runs: Uint8Array[] = [];
    let from = 0;
    let to = 0;
    for (let at = 0; at < this.#size; at++) {
      const start = this.#starts[at]!;
      if (start !== to) {
        runs.push(bytes.subarray(from, to));
        from = start;
      }
      to = bytes.indexOf(LINE_END, start) + 1;
    }
    const last = bytes.subarray(from, to);
    return runs.length === 0 ? last : Buffer.concat([...runs, last]);
  }

  /** Nothing is asked of it any more but which rows it has. */
  letGo(): void {
    this.#text.letGo();
  }

  /** Where the row is, or would be. */
  #place(row: number): number {
    let from = 0;
    let to = this.#size;
    if (to > 0 && this.#rows[to - 1]! < row) return to;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#rows[middle]! < row) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #makeRoom(at: number): void {
    if (this.#size === this.#rows.length) {
      this.#rows = new Uint32Array(doubled(this.#rows));
      this.#starts = new Uint32Array(doubled(this.#starts));
    }
    this.#rows.copyWithin(at + 1, at, this.#size);
    this.#starts.copyWithin(at + 1, at, this.#size);
    this.#size++;
  }
}

/** The arithmetic of a file in parts: how many, how large, which are missing. */
import type { UploadRecord } from '../contracts/upload.ts';

const MEBIBYTE = 2 ** 20;
/** Of one object, as S3 has it. */
const MOST_PARTS = 10_000;

/** Bytes of a part: those wanted, or whole mebibytes more where the file would need too many parts. An empty file has one empty part. */
export function cutIntoParts(size: number, wanted: number): { chunkSize: number; totalParts: number } {
  const chunkSize = Math.max(wanted, Math.ceil(size / MOST_PARTS / MEBIBYTE) * MEBIBYTE);
  return { chunkSize, totalParts: Math.max(1, Math.ceil(size / chunkSize)) };
}

/** Bytes that the part with this number has. */
export function partSize({ chunkSize, totalParts, request: { size } }: Pick<UploadRecord, 'chunkSize' | 'totalParts'> & { request: { size: number } }, number: number): number {
  return number < totalParts ? chunkSize : size - chunkSize * (totalParts - 1);
}

/** Numbers as runs, both ends included: `1–3, 7`. */
export function partRuns(numbers: readonly number[]): string {
  const runs: [from: number, to: number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`)).join(', ');
}

/** Those of 1 … total that are not among the numbers. */
export function missingParts(total: number, there: Iterable<number>): number[] {
  const known = new Set(there);
  return Array.from({ length: total }, (_, index) => index + 1).filter((number) => !known.has(number));
}

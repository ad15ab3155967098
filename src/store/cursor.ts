/** Cursors of lists: the key of the last entry given, as base64url JSON. They hold no secret and outlive the process. */
import { z } from 'zod';
import { SheafError } from '../contracts/errors.ts';
import type { Listed } from './ports/lists.ts';

export const singleCursor = z.tuple([z.string()]);
export const jobCursor = z.tuple([z.string(), z.string()]);
export const tripleCursor = z.tuple([z.string(), z.string(), z.string()]);
export const numberCursor = z.tuple([z.int()]);
export const endedCursor = z.tuple([z.string(), z.string(), z.string()]);
export const numberPairCursor = z.tuple([z.int(), z.int()]);

export const deliveryCursor = z.tuple([z.string(), z.int()]);

export const encodeCursor = (key: readonly (string | number)[]): string => Buffer.from(JSON.stringify(key)).toString('base64url');

/** The key to go on after; null without a cursor. Throws `invalid_cursor`. */
export function readCursor<Key extends readonly (string | number)[]>(cursor: string | undefined, shape: z.ZodType<Key>): Key | null {
  if (cursor === undefined) return null;
  try {
    const key = shape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    // Buffer skips what is not base64url: only what this list would have written is taken.
    if (encodeCursor(key) === cursor) return key;
  } catch {
    // Answered below, the same for every way in which a cursor can be wrong.
  }
  throw new SheafError('invalid_cursor', 'The cursor was not given by this list.', {
    remedy: 'Pass nextCursor of the previous answer unchanged, or leave it out to start at the beginning.',
    place: { field: 'cursor' },
  });
}

/** A page of a list from `limit + 1` found entries: the extra one only says that there is more. */
export function listed<T>(found: T[], limit: number, keyOf: (entry: T) => readonly (string | number)[]): Listed<T> {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: found.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : null };
}

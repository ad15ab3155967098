/** What failures of rows have in common: the code, and the message without what is of one row alone. */
import type { RowFailure } from '../contracts/row.ts';
import { digest } from './hashing.ts';

const MOST_CHARS = 1_000;

/** In this order: what a later pattern would cut to pieces comes first. */
const PARTICULAR: [RegExp, string][] = [
  [/\b[a-z]+:\/\/[^\s"'<>]+/gi, 'URL'],
  [/"[^"]*"|'[^']*'(?!\w)|“[^”]*”|„[^“]*“|«[^»]*»/g, '"…"'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, 'ID'],
  [/\b(?=[\w-]*\d)[\w-]{16,}\b/g, 'ID'],
  [/\d+([.,:]\d+)*/g, 'N'],
];

/** Ten characters; the same for failures that one cause would explain. */
export function fingerprintOf({ code, message }: Pick<RowFailure, 'code' | 'message'>): string {
  const text = PARTICULAR.reduce((rest, [pattern, place]) => rest.replace(pattern, place), message.slice(0, MOST_CHARS));
  return digest(JSON.stringify([code, text.replaceAll(/\s+/g, ' ').trim().toLowerCase()])).replaceAll(/[-_]/g, 'x').slice(0, 10);
}

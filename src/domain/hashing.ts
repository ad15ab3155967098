/** Identities: 132 bits of SHA-256 in base64url, over text that has one form per meaning. */
import { hash } from 'node:crypto';
import type { Cell, Json, RowInput } from '../contracts/row.ts';

export const digest = (text: string): string => hash('sha256', text, 'base64url').slice(0, 22);

/** JSON with sorted keys, so that equal values have equal text. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`);
    return `{${entries.join(',')}}`;
  }
  return JSON.stringify(value);
}

/**
 * Hashes rows of one sheet over (column name, cell) in the order of the names. Nulls are left out, so that neither
 * reordered columns nor a new empty one change a row's hash. `only` restricts it to what a handler reads.
 */
export function rowHasher(columns: readonly string[], only: readonly string[] | null = null): (cells: readonly Cell[]) => string {
  const hash = jsonHasher(columns, only);
  return (cells) => hash(cells.map(cellJson));
}

/** For who has put the cells into JSON already. */
export const cellJson = (cell: Cell): string => (typeof cell === 'string' ? JSON.stringify(cell) : String(cell));

/** `rowHasher` over the JSON of each cell. */
export function jsonHasher(columns: readonly string[], only: readonly string[] | null = null): (cells: readonly string[]) => string {
  const hashed = columns
    .map((name, index) => ({ name, index, label: `${JSON.stringify(name)}:` }))
    .filter(({ name }) => only === null || only.includes(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return (cells) => {
    let text = '';
    for (const { index, label } of hashed) {
      const cell = cells[index];
      if (cell !== undefined && cell !== 'null') text += `${label}${cell},`;
    }
    return digest(text);
  };
}

/** Everything of a handler that changes its output. */
export const handlerHash = (handler: { name: string; version: number }, identity: Json): string =>
  digest(canonicalJson([handler.name, handler.version, identity]));

const MAX_KEY_CHARS = 400;

/**
 * A row's key from its key cells; null when all of them are empty. One column gives its text, several a JSON array of
 * texts; numbers and text that look the same are the same key. Very long keys end in a digest.
 */
export function itemKey(cells: readonly (Cell | undefined)[]): string | null {
  if (cells.every((cell) => cell === null || cell === undefined)) return null;
  const texts = cells.map((cell) => (cell === null || cell === undefined ? '' : String(cell)));
  const key = texts.length === 1 ? texts[0]! : JSON.stringify(texts);
  return key.length <= MAX_KEY_CHARS ? key : `${key.slice(0, MAX_KEY_CHARS - 24)}~${digest(key)}`;
}

export function rowInput(columns: readonly string[], cells: readonly Cell[]): RowInput {
  const input: RowInput = {};
  for (let index = 0; index < columns.length; index++) input[columns[index]!] = cells[index] ?? null;
  return input;
}

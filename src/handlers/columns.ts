import { SheafError } from '../contracts/errors.ts';
import { nearest } from '../domain/nearest.ts';

const MOST_LISTED = 50;

/** Throws `column_missing` for the first column named that the sheet does not have. `field` is the option that names it. */
export function requireColumns(named: readonly string[], columns: readonly string[], field: string): void {
  const missing = named.find((name) => !columns.includes(name));
  if (missing === undefined) return;
  const near = nearest(missing, columns);
  const rest = columns.length > MOST_LISTED ? ` and ${columns.length - MOST_LISTED} more` : '';
  throw new SheafError('column_missing', `The sheet has no column "${missing}"${near === null ? '' : `; did you mean "${near}"?`}`, {
    remedy: `Name one of its columns: ${columns.slice(0, MOST_LISTED).map((name) => `"${name}"`).join(', ')}${rest}`,
    place: { field, column: missing },
  });
}

/** Rows against the rules of their columns. Patterns are RE2's: no cell can make them take long. What is said of a cell never holds its content. */
import { RE2JS } from 're2js';
import { SheafError } from '../contracts/errors.ts';
import type { ColumnRule, Validation } from '../contracts/formats.ts';
import type { Cell, RowFailure, SheetWarning } from '../contracts/row.ts';
import { typedCell, typeOfCell } from './infer.ts';

/** Patterns read no more of a cell. */
const PATTERN_CHARS = 10_000;
/** Warnings that are kept of a sheet; the rest is counted. */
const MOST_WARNINGS = 50;
const EMAIL = /^[^\s@<>()]{1,64}@[^\s@<>()]{1,255}$/;

interface ColumnCheck {
  name: string;
  index: number;
  rule: ColumnRule;
  pattern: RE2JS | null;
}

/** Throws where a pattern is not one of RE2's; the message says why. */
export const compileRule = ({ pattern }: ColumnRule): RE2JS | null => (pattern === undefined ? null : RE2JS.compile(pattern));

/** Throws `column_missing` for the first required column that the sheet does not have. */
function checksOf({ columns }: Validation, names: readonly string[]): ColumnCheck[] {
  const missing = Object.keys(columns).find((name) => columns[name]!.required && !names.includes(name));
  if (missing !== undefined) {
    throw new SheafError('column_missing', `The format requires a column "${missing}", which the sheet does not have.`, {
      remedy: `Its columns are ${names.slice(0, 50).map((name) => `"${name}"`).join(', ')}.`, place: { field: 'format', column: missing },
    });
  }
  return Object.entries(columns).flatMap(([name, rule]) => {
    const index = names.indexOf(name);
    return index < 0 ? [] : [{ name, index, rule, pattern: compileRule(rule) }];
  });
}

/** What is wrong with a cell; null: nothing. */
function wrong({ rule, pattern }: ColumnCheck, cell: Cell): string | null {
  if (cell === null || cell === '') return rule.required ? 'is empty' : null;
  const text = String(cell);
  if (!isOfType(rule.type, cell)) return `is no ${rule.type === 'text' ? 'text' : rule.type}`;
  if (rule.minLength !== undefined && text.length < rule.minLength) return `is shorter than ${rule.minLength} characters`;
  if (rule.maxLength !== undefined && text.length > rule.maxLength) return `is longer than ${rule.maxLength} characters`;
  if (rule.enum !== undefined && !rule.enum.includes(text)) return 'is none of the values that are allowed';
  if (pattern !== null && !pattern.matcher(text.slice(0, PATTERN_CHARS)).find()) return 'does not match the pattern';
  const value = typedCell(cell);
  if (typeof value === 'number' && rule.min !== undefined && value < rule.min) return `is less than ${rule.min}`;
  if (typeof value === 'number' && rule.max !== undefined && value > rule.max) return `is more than ${rule.max}`;
  return null;
}

function isOfType(type: ColumnRule['type'], cell: Cell): boolean {
  if (type === 'text') return true;
  if (type === 'email') return EMAIL.test(String(cell));
  if (type === 'url') return /^https?:$/.test(URL.parse(String(cell))?.protocol ?? '');
  const found = typeOfCell(cell);
  return found === type || (type === 'number' && found === 'integer') || (type === 'datetime' && found === 'date');
}

/** Says what is wrong with the first cell of a row that does not fit. Throws `column_missing`. */
export function rowCheck(validation: Validation, names: readonly string[]): (cells: readonly Cell[]) => RowFailure | null {
  const checks = checksOf(validation, names);
  return (cells) => {
    for (const check of checks) {
      const problem = wrong(check, cells[check.index] ?? null);
      if (problem !== null) return { code: 'invalid_row', message: `Column "${check.name}" ${problem}.`, retryable: false, column: check.name, input: true };
    }
    return null;
  };
}

/** Makes cells fit where they plainly can be made to, and counts those that were, and that do not. Throws `column_missing`. */
export class Lenient {
  readonly #checks: ColumnCheck[];
  readonly #warnings: SheetWarning[] = [];
  #more = 0;

  constructor(validation: Validation, names: readonly string[]) {
    this.#checks = checksOf(validation, names);
  }

  /** Changes the cells. */
  mend(row: number, cells: Cell[]): void {
    for (const check of this.#checks) {
      const cell = cells[check.index] ?? null;
      if (wrong(check, cell) === null) continue;
      const mended = coerced(check.rule, cell);
      const problem = mended === cell ? wrong(check, cell) : wrong(check, mended);
      if (problem === null) cells[check.index] = mended;
      this.#warn({
        row, column: check.name, code: problem === null ? 'cell_changed' : 'cell_unfit',
        message: problem === null ? `Column "${check.name}" was changed so that it fits.` : `Column "${check.name}" ${problem}; the row is handled all the same.`,
      });
    }
  }

  #warn(warning: SheetWarning): void {
    if (this.#warnings.length < MOST_WARNINGS) this.#warnings.push(warning);
    else this.#more++;
  }

  get warnings(): SheetWarning[] {
    return this.#more === 0 ? this.#warnings : [...this.#warnings, { code: 'more_warnings', message: `${this.#more} more cells were changed or do not fit.` }];
  }
}

const YES = new Set(['yes', 'y', '1', 'on', 'x', 'true', 'ja', 'oui', 'si', 'sí']);
const NO = new Set(['no', 'n', '0', 'off', 'false', 'nein', 'non']);

/** The cell as it was, where nothing plain can be done. */
function coerced({ type, enum: allowed, maxLength }: ColumnRule, cell: Cell): Cell {
  if (cell === null) return null;
  const text = String(cell).trim().replaceAll(/\s+/g, ' ');
  if (allowed !== undefined) return allowed.find((one) => one.toLowerCase() === text.toLowerCase()) ?? cell;
  if (type === 'integer' || type === 'number') {
    const bare = text.replaceAll(/[^\d.,+-]/g, '');
    // Of two kinds of separators the last is the decimal one; a single comma is one where at most two digits follow it.
    const decimal = bare.lastIndexOf(',') > bare.lastIndexOf('.') && (bare.includes('.') || /,\d{1,2}$/.test(bare)) ? ',' : '.';
    const value = Number(bare.replaceAll(decimal === ',' ? '.' : ',', '').replace(',', '.'));
    return bare === '' || !Number.isFinite(value) ? cell : type === 'integer' ? Math.round(value) : value;
  }
  if (type === 'boolean') return YES.has(text.toLowerCase()) ? true : NO.has(text.toLowerCase()) ? false : cell;
  if (type === 'date' || type === 'datetime') return /^\d{4}[./]\d{2}[./]\d{2}$/.test(text) ? text.replaceAll(/[./]/g, '-') : text;
  if (type === 'url' && !text.includes('://') && /^[\w-]+(\.[\w-]+)+/.test(text)) return `https://${text}`;
  return maxLength !== undefined && text.length > maxLength ? text.slice(0, maxLength) : text;
}

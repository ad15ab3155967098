/** Formats by name: `standard`, and those of the configuration. */
import { z } from 'zod';
import { columnRules, STANDARD, STANDARD_FORMAT, type ColumnRules } from './contracts/formats.ts';
import { SheafError } from './contracts/errors.ts';
import { compileRule } from './domain/validation.ts';
import { readSettingsFile } from './settings-file.ts';

const formats = z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected a name of letters, digits, ".", "_" and "-"'), z.strictObject({ columns: columnRules }));

export type Formats = ReadonlyMap<string, ColumnRules>;

/** `given`: a file (YAML or JSON) or its content. Throws an error whose message names the place. */
export function readFormats(given: string | undefined): Formats {
  const own = readSettingsFile(given, formats);
  for (const [name, { columns }] of Object.entries(own)) {
    for (const [column, rule] of Object.entries(columns)) compiles(rule, (why) => new Error(`${name}.${column}.pattern: ${why}`));
  }
  return new Map([[STANDARD, STANDARD_FORMAT], ...Object.entries(own).map(([name, { columns }]): [string, ColumnRules] => [name, columns])]);
}

/** The rules that a job asks for. Throws `unknown_format`, and `invalid_request` for a pattern that is none. */
export function rulesOf(known: Formats, asked: string | { columns: ColumnRules }): ColumnRules {
  if (typeof asked !== 'string') {
    for (const [column, rule] of Object.entries(asked.columns)) {
      compiles(rule, (why) => new SheafError('invalid_request', `The pattern of column "${column}" cannot be used: ${why}`, { place: { field: `format.columns.${column}.pattern` } }));
    }
    return asked.columns;
  }
  const found = known.get(asked);
  if (found) return found;
  throw new SheafError('unknown_format', `There is no format "${asked}".`, { remedy: `Use one of ${[...known.keys()].join(', ')}, or give the columns themselves.`, place: { field: 'format' } });
}

function compiles(rule: ColumnRules[string], error: (why: string) => Error): void {
  try {
    compileRule(rule);
  } catch (cause) {
    throw error((cause instanceof Error ? cause.message : String(cause)).replace('error parsing regexp: ', ''));
  }
}

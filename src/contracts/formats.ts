/** What a sheet's columns have to hold: rules, and named sets of them. */
import { z } from 'zod';

export const VALIDATION_LEVELS = ['strict', 'moderate', 'lenient'] as const;
/** `strict`: the first row that does not fit fails the job, before any is handled. `moderate`: such rows fail. `lenient`: cells are made to fit where they can be, and rows that do not are handled all the same. */
export type ValidationLevel = (typeof VALIDATION_LEVELS)[number];

export const COLUMN_TYPES = ['text', 'integer', 'number', 'boolean', 'date', 'datetime', 'email', 'url'] as const;

export const columnRule = z.strictObject({
  required: z.boolean().default(false).meta({ description: 'The sheet has the column, and no cell of it is empty' }),
  type: z.enum(COLUMN_TYPES).default('text'),
  pattern: z.string().min(1).max(500).exactOptional().meta({ description: 'RE2 syntax (no look-around, no back-references); somewhere in the cell, unless it has ^ and $' }),
  enum: z.array(z.string().max(500)).min(1).max(1_000).exactOptional(),
  minLength: z.int().min(0).exactOptional(),
  maxLength: z.int().min(1).exactOptional(),
  min: z.number().exactOptional(),
  max: z.number().exactOptional(),
});
export type ColumnRule = z.output<typeof columnRule>;

export const columnRules = z.record(z.string().min(1).max(200), columnRule)
  .refine((columns) => Object.keys(columns).length > 0 && Object.keys(columns).length <= 500, 'expected 1 to 500 columns');
export type ColumnRules = z.output<typeof columnRules>;

/** What a job checks its rows by. */
export interface Validation {
  level: ValidationLevel;
  columns: ColumnRules;
}

export const STANDARD = 'standard';
/** There without any configuration: a sheet of ideas. */
export const STANDARD_FORMAT: ColumnRules = columnRules.parse({
  Title: { required: true, maxLength: 500 },
  Description: { maxLength: 20_000 },
});

/** `categorize`: gives every row one of a list of categories. Keywords and patterns decide, or a language model where one is named. */
import { z } from 'zod';
import { byModel } from './categorize-model.ts';
import { rules } from './categorize-rules.ts';
import { categories, columnWeights } from './categorize-options.ts';
import type { Handler, HandlerContext, PreparedHandler } from './handler.ts';
import { instructions } from './instructions.ts';
import { modelName, rowsPerRequest } from './model-rows.ts';

const options = z.strictObject({
  categories: categories.describe('A list of names (each its own keyword; also as a text with commas), a map of name to keywords, or a list of {name, description, examples, keywords, patterns, weight}. Where several fit equally well, the first wins'),
  columns: columnWeights.nullable().default(null).describe('Columns to read: a list (also as a text with commas), or a map of column to weight; default: all, with weight 1. A model goes by no weights, and reads those that its instructions name where none are given'),
  default: z.string().min(1).max(200).nullable().default(null).describe('The category of rows that none fits; default: null'),
  model: modelName.nullable().default(null).meta({ description: `Who decides in place of keywords and patterns: ${modelName.description}` }),
  instructions: instructions.nullable().default(null).describe('For a model: what else to go by; {{Title}} names a column'),
  multiple: z.boolean().default(false).describe('For a model: a row may have several categories'),
  rowsPerRequest: rowsPerRequest.optional().describe('For a model: rows in one request (1 unless given): fewer tokens for instructions, and a little less care for each row'),
}).superRefine((given, { addIssue }) => {
  if (given.model !== null) return;
  for (const name of ['instructions', 'multiple', 'rowsPerRequest'] as const) {
    if (given[name]) addIssue({ code: 'custom', path: [name], message: 'is for a model: name one with the option model' });
  }
});

export type CategorizeOptions = z.output<typeof options>;
export type CategorizeProvider = (options: CategorizeOptions, context: HandlerContext) => Promise<PreparedHandler>;

export const categorize: Handler<CategorizeOptions> = {
  name: 'categorize',
  version: 1,
  summary: 'Gives every row a category, by keywords and patterns, or by a language model.',
  options,
  work: ({ model }) => (typeof model === 'string' ? 'costly' : 'cheap'),
  prepare: (chosen, context) => (chosen.model === null ? rules : byModel)(chosen, context),
};

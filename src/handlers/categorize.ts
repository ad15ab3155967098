/** `categorize`: gives every row one of a list of categories. Who decides is a provider: a file and a line in `providers`. */
import { z } from 'zod';
import { rules } from './categorize-rules.ts';
import { categories, columnWeights } from './categorize-options.ts';
import type { Handler, HandlerContext, PreparedHandler } from './handler.ts';

const options = z.strictObject({
  provider: z.enum(['rules']).default('rules').describe('Who decides: `rules` looks for keywords and patterns'),
  categories: categories.describe('A list of names (each its own keyword; also as a text with commas), a map of name to keywords, or a list of {name, description, keywords, patterns, weight}. Where several fit equally well, the first wins'),
  columns: columnWeights.nullable().default(null).describe('Columns to read: a list (also as a text with commas), or a map of column to weight; default: all, with weight 1'),
  default: z.string().min(1).max(200).nullable().default(null).describe('The category of rows that none fits; default: null'),
});

export type CategorizeOptions = z.output<typeof options>;
export type CategorizeProvider = (options: CategorizeOptions, context: HandlerContext) => Promise<PreparedHandler>;

const providers: Record<CategorizeOptions['provider'], CategorizeProvider> = { rules };

export const categorize: Handler<CategorizeOptions> = {
  name: 'categorize',
  version: 1,
  summary: 'Gives every row a category, by keywords and patterns.',
  options,
  work: 'cheap',
  prepare: (chosen, context) => providers[chosen.provider](chosen, context),
};

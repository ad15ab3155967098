/** `categorize`: gives every row one of a list of categories. Keywords and patterns decide, or a language model where one is named. */
import { byModel } from './categorize-model.ts';
import { categorizeOptions, type CategorizeOptions } from './categorize-options.ts';
import { rules } from './categorize-rules.ts';
import type { Handler } from './handler.ts';

export const categorize: Handler<CategorizeOptions> = {
  name: 'categorize',
  version: 1,
  summary: 'Gives every row a category, by keywords and patterns, or by a language model.',
  options: categorizeOptions,
  work: ({ model }) => (typeof model === 'string' ? 'costly' : 'cheap'),
  prepare: (chosen, context) => (chosen.model === null ? rules : byModel)(chosen, context),
};

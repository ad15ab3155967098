/** Categories by a language model, which is told what each is about and says why it chose. */
import type { Json } from '../contracts/row.ts';
import type { CategorizeOptions, CategorizeProvider } from './categorize-options.ts';
import { columnsShown, withReferences } from './instructions.ts';
import { rowsByModel, type ModelTask } from './model-rows.ts';

type Asked = Pick<CategorizeOptions, 'categories' | 'instructions' | 'multiple' | 'default'> & { model: string };

export const byModel: CategorizeProvider = async ({ columns, ...options }, context) => {
  const shown = columnsShown(options.instructions, columns && [...columns.keys()], context.columns);
  return rowsByModel(categorizeTask({ ...options, model: options.model! }), shown, options.rowsPerRequest ?? 1, context);
};

/** Of a row, or of whatever else is to be categorised. */
export function categorizeTask({ model, categories, instructions, multiple, default: fallback }: Asked): ModelTask {
  const names = categories.map(({ name }) => name);
  const none = otherThan('none', names);
  const one = { type: 'string', enum: [...names, none] };
  const chosen: { [property: string]: Json } = multiple
    ? { categories: { type: 'array', items: { type: 'string', enum: names }, description: 'Every category that fits; empty where none does' } }
    : { category: { ...one, description: `The category that fits best; ${JSON.stringify(none)} where none does` } };
  const schema = {
    type: 'object', additionalProperties: false, required: ['reason', ...Object.keys(chosen), 'confidence'],
    properties: {
      reason: { type: 'string', description: 'Why, in one short sentence' },
      ...chosen,
      confidence: { type: 'number', minimum: 0, maximum: 1, description: 'How sure it is, from 0 to 1' },
    },
  };
  const described = categories.map(({ name, description, examples }) =>
    [`- ${JSON.stringify(name)}${description === null ? '' : `: ${description}`}`, ...examples.map((example) => `    for example: ${JSON.stringify(example)}`)].join('\n'));
  return {
    question: {
      model, schema, strict: true,
      task: [
        multiple ? 'Name all the categories that the data belongs to.' : 'Name the category that the data belongs to.',
        `The categories:\n${described.join('\n')}`,
        ...(instructions === null ? [] : [withReferences(instructions)]),
      ].join('\n\n'),
    },
    identity: { default: fallback },
    outputOf: (answer) => {
      const { category, categories: several = [], confidence, reason } = answer as { category?: string; categories?: string[]; confidence: number; reason: string };
      if (multiple) return { categories: several.length > 0 ? [...new Set(several)] : fallback === null ? [] : [fallback], confidence, reason };
      return { category: category === undefined || category === none ? fallback : category, confidence, reason };
    },
  };
}

/** A word that is none of the names. */
const otherThan = (word: string, names: readonly string[]): string => (names.includes(word) ? otherThan(`(${word})`, names) : word);

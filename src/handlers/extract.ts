/** `extract`: a language model reads a row and fills in fields: a list of them with types, or whatever a JSON Schema says. */
import { z } from 'zod';
import type { Json } from '../contracts/row.ts';
import type { JsonSchema } from '../models/language-model.ts';
import type { Handler } from './handler.ts';
import { columnsShown, instructions, withReferences } from './instructions.ts';
import { modelName, rowsByModel, rowsPerRequest, type ModelTask } from './model-rows.ts';

const TYPES = {
  text: { type: ['string', 'null'] },
  number: { type: ['number', 'null'] },
  integer: { type: ['integer', 'null'] },
  boolean: { type: ['boolean', 'null'] },
  date: { type: ['string', 'null'], format: 'date', description: 'As YYYY-MM-DD' },
  list: { type: ['array', 'null'], items: { type: 'string' } },
} as const satisfies Record<string, JsonSchema>;

const fieldType = z.enum(Object.keys(TYPES) as [keyof typeof TYPES]);
const fieldName = z.string().trim().min(1).max(200);
const field = z.strictObject({ name: fieldName, type: fieldType.default('text'), description: z.string().max(10_000).optional() });
type Field = z.output<typeof field>;

/** `brand, price:number`, as a list. */
const listed = (given: unknown): unknown => (typeof given !== 'string' ? given : given.split(',').map((part) => {
  const colon = part.lastIndexOf(':');
  return colon < 0 ? part.trim() : { name: part.slice(0, colon).trim(), type: part.slice(colon + 1).trim() };
}));

export const extractFields = z.preprocess(listed, z.union([
  z.array(z.union([fieldName, field])),
  z.record(fieldName, fieldType).transform((types) => Object.entries(types).map(([name, type]): Field => ({ name, type }))),
])).transform((fields) => fields.map((one): Field => (typeof one === 'string' ? { name: one, type: 'text' } : one)))
  .refine((fields) => fields.length > 0, 'at least one field is needed')
  .refine((fields) => new Set(fields.map(({ name }) => name)).size === fields.length, 'two fields have the same name');

const columns = z.union([z.string().transform((text) => text.split(',').map((name) => name.trim()).filter((name) => name !== '')), z.array(z.string().min(1))]);

const options = z.strictObject({
  model: modelName,
  instructions: instructions.nullable().default(null).describe('What to look for, in your words; {{Title}} names a column'),
  fields: extractFields.optional().describe(`What the output has: a map of name to type (${Object.keys(TYPES).join(', ')}), a list of {name, type, description}, or a text such as "brand, price:number". What a row does not tell is null`),
  schema: z.record(z.string(), z.json()).optional().describe('In place of fields: a JSON Schema of the output, an object'),
  columns: columns.nullable().default(null).describe('Columns that the model reads: a list, also as a text with commas; default: those that the instructions name, else all'),
  rowsPerRequest: rowsPerRequest.default(1).describe('Rows in one request to the model: fewer tokens for instructions, and a little less care for each row'),
}).superRefine(({ fields, schema }, { addIssue }) => {
  if ((fields === undefined) === (schema === undefined)) addIssue({ code: 'custom', path: ['fields'], message: 'give either fields or a schema' });
});

export type ExtractOptions = z.output<typeof options>;

export const extract: Handler<ExtractOptions> = {
  name: 'extract',
  version: 1,
  summary: 'Asks a language model for what a row says: fields with types, or a JSON Schema.',
  options,
  work: 'costly',
  prepare: ({ columns, rowsPerRequest: perRequest, ...asked }, context) =>
    rowsByModel(extractTask(asked), columnsShown(asked.instructions, columns, context.columns), perRequest, context),
};

/** Of a row, or of whatever else is to be read. */
export function extractTask({ model, instructions: asked, fields, schema }: Pick<ExtractOptions, 'model' | 'instructions' | 'fields' | 'schema'>): ModelTask {
  const described = schema === undefined ? undefined : { type: 'object', ...schema } as JsonSchema;
  return {
    question: {
      model, schema: described ?? schemaOf(fields ?? []), strict: described === undefined,
      task: ['Read the data and fill in what is asked for. Go by the data alone; what it does not tell is null.', ...(asked === null ? [] : [withReferences(asked)])].join('\n\n'),
    },
    identity: null,
    outputOf: (answer) => answer,
  };
}

function schemaOf(fields: readonly Field[]): JsonSchema {
  const properties = fields.map(({ name, type, description }): [string, Json] => [name, { ...TYPES[type], ...(description !== undefined && { description }) }]);
  return { type: 'object', additionalProperties: false, required: fields.map(({ name }) => name), properties: Object.fromEntries(properties) as Json };
}

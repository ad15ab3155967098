/** The options of `categorize`: the forms in which categories and columns can be given, each brought into one form, and the rest. */
import { RE2JS } from 're2js';
import { z } from 'zod';
import type { HandlerContext, PreparedHandler } from './handler.ts';
import { instructions } from './instructions.ts';
import { fold } from './keywords.ts';
import { modelName, rowsPerRequest } from './model-rows.ts';

export interface Category {
  name: string;
  description: string | null;
  examples: string[];
  keywords: string[];
  patterns: string[];
  /** Multiplies its score. */
  weight: number;
}

const MOST_KEYWORDS = 20_000;
/** Patterns' compiled sizes bound the time that they take for a character: some 10 ns a unit at worst. */
const LARGEST_PATTERN = 1_000;
const LARGEST_PATTERNS = 10_000;

const name = z.string().trim().min(1).max(200);
const separated = z.string().max(100_000).transform((text) => text.split(',').map((term) => term.trim()).filter((term) => term !== ''));
const terms = z.union([separated, z.array(z.string().trim().min(1).max(200))]);
const patterns = z.array(z.string().min(1).max(500)).default([])
  .describe('Regular expressions in RE2 syntax (no look-around, no back-references; \\b knows ASCII only), case-insensitive, over the first 100,000 characters of a cell');
const weight = z.number().positive().max(1_000);

const listed = z.array(z.union([name, z.strictObject({
  name,
  description: z.string().max(10_000).optional().describe('For people, and for language models'),
  examples: z.array(z.string().trim().min(1).max(2_000)).max(20).default([]).describe('For language models: texts that belong to it'),
  keywords: terms.optional().describe('A list, or a text with commas; default: the name'),
  patterns,
  weight: weight.default(1),
})]));

/**
 * Without keywords and patterns, a category's name is its keyword. The order is kept: it decides ties.
 */
export const categories = z.union([separated, listed, z.record(name, terms)]).transform((given, context): Category[] => {
  const all = Array.isArray(given) ? given.map(category) : Object.entries(given).map(([name, keywords]) => category({ name, examples: [], keywords, patterns: [], weight: 1 }));
  const complain = (path: (string | number)[], message: string): void => void context.issues.push({ code: 'custom', path, message, input: given });
  if (all.length === 0) complain([], 'at least one category is needed');
  const seen = new Set<string>();
  let size = 0;
  all.forEach(({ name, patterns }, index) => {
    const path = Array.isArray(given) ? [index] : [name];
    if (seen.has(name)) complain(path, `there are two categories "${name}"`);
    seen.add(name);
    patterns.forEach((pattern, at) => {
      const checked = checkPattern(pattern);
      if (typeof checked === 'number') size += checked;
      else complain([...path, 'patterns', at], `category "${name}", pattern "${pattern}": ${checked}`);
    });
  });
  if (all.reduce((sum, { keywords }) => sum + keywords.length, 0) > MOST_KEYWORDS) complain([], `there are more than ${MOST_KEYWORDS} keywords`);
  if (size > LARGEST_PATTERNS) complain([], 'the patterns are too complex together; use fewer, or keywords');
  return all;
});

type Listed = string | z.output<typeof listed>[number];

function category(given: Listed): Category {
  if (typeof given === 'string') return { name: given, description: null, examples: [], keywords: [given], patterns: [], weight: 1 };
  const { name, description = null, examples, patterns, weight } = given;
  const keywords = given.keywords ?? (patterns.length === 0 ? [name] : []);
  return { name, description, examples, keywords: [...new Map(keywords.toReversed().map((term) => [fold(term), term])).values()].reverse(), patterns: [...new Set(patterns)], weight };
}

/** Throws where the pattern is not one of RE2's. */
export const compilePattern = (pattern: string): RE2JS => RE2JS.compile(pattern, RE2JS.CASE_INSENSITIVE);

/** Its compiled size, or what is wrong with it. */
function checkPattern(pattern: string): number | string {
  try {
    const size = compilePattern(pattern).programSize();
    return size > LARGEST_PATTERN ? 'it is too complex; use smaller repeat counts' : size;
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).replace('error parsing regexp: ', '').replace('(?i)', '');
  }
}

/** Column → weight. */
const columnWeights = z.union([terms, z.record(z.string(), weight)])
  .transform((given): Map<string, number> => new Map(Array.isArray(given) ? given.map((column) => [column, 1]) : Object.entries(given)))
  .refine((columns) => columns.size > 0, 'at least one column is needed');

export const categorizeOptions = z.strictObject({
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

export type CategorizeOptions = z.output<typeof categorizeOptions>;
export type CategorizeProvider = (options: CategorizeOptions, context: HandlerContext) => Promise<PreparedHandler>;

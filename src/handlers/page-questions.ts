/** What is asked about a page once it has been read: fields to fill in, a category. By a model, or by keywords alone. */
import { z } from 'zod';
import type { Foreseen, HandledOutcome, Json } from '../contracts/row.ts';
import { NOTHING_SPENT } from '../domain/spent.ts';
import type { WebPage } from '../pages/page.ts';
import { categorizeTask } from './categorize-model.ts';
import { categories } from './categorize-options.ts';
import { rules } from './categorize-rules.ts';
import { extractFields, extractTask } from './extract.ts';
import type { HandlerContext } from './handler.ts';
import { FREE } from './free.ts';
import { columnsShown, instructions } from './instructions.ts';
import { modelName, type ModelTask } from './model-rows.ts';

const asked = instructions.nullable().default(null).describe('What to go by, in your words; {{title}}, {{description}}, {{url}} and {{text}} are the page\'s');

export const pageQuestions = {
  extract: z.strictObject({
    model: modelName, instructions: asked,
    fields: extractFields.optional().describe('As of the handler extract'),
    schema: z.record(z.string(), z.json()).optional().describe('In place of fields: a JSON Schema, of an object'),
  }).refine(({ fields, schema }) => (fields === undefined) !== (schema === undefined), 'give either fields or a schema')
    .nullable().default(null).describe('What a language model is to read out of the page; the output has it as `extracted`'),
  categorize: z.strictObject({
    categories: categories.describe('As of the handler categorize'),
    model: modelName.nullable().default(null), instructions: asked,
    multiple: z.boolean().default(false), default: z.string().min(1).max(200).nullable().default(null),
  }).nullable().default(null).describe('The category of the page, by keywords and patterns, or by a language model where one is named'),
};

export interface AskedOfPages {
  extract: z.output<typeof pageQuestions.extract>;
  categorize: z.output<typeof pageQuestions.categorize>;
  /** Characters of the text that a model is shown. */
  modelChars: number;
}

/** One thing that is asked about every page; its outcome's output is an object that goes into the row's. */
export interface PageQuestion {
  identity: Json;
  limits: readonly string[];
  /** What it costs can be told. */
  priced: boolean;
  about(page: WebPage, signal: AbortSignal): Promise<HandledOutcome>;
  /** Null: the page is not known. Pays for nothing. */
  foresee(page: WebPage | null): Promise<Foreseen>;
}

const SHOWN = ['url', 'title', 'description', 'text'];

/** Rejects as `RowModels.askAbout`, and with `column_missing` where instructions name what pages do not have. */
export async function questionsOf({ extract, categorize, modelChars }: AskedOfPages, context: HandlerContext): Promise<PageQuestion[]> {
  const byModel = async (task: ModelTask, outputOf: (answer: Json) => Json): Promise<PageQuestion> => {
    const asker = await context.models.askAbout({ ...task.question, textsPerRequest: 1 });
    const shown = ({ url, title, description, text }: WebPage): Json => ({ url, title, description, text: text.slice(0, modelChars).toWellFormed() });
    return {
      identity: { task: task.question.task, model: task.question.model, schema: task.question.schema, more: task.identity, modelChars },
      limits: asker.limits,
      priced: asker.priced,
      async about(page, signal) {
        const [outcome] = await asker.ask([shown(page)], signal);
        return 'output' in outcome! ? { ...outcome, output: outputOf(outcome.output) } : outcome!;
      },
      foresee: async (page) => (page === null ? { known: false, ...NOTHING_SPENT, requests: 1 } : (await asker.foresee([shown(page)]))[0]!),
    };
  };
  const questions: PageQuestion[] = [];
  if (extract) {
    columnsShown(extract.instructions, null, SHOWN);
    const task = extractTask(extract);
    questions.push(await byModel(task, (answer) => ({ extracted: task.outputOf(answer) })));
  }
  if (categorize?.model) {
    columnsShown(categorize.instructions, null, SHOWN);
    const task = categorizeTask({ ...categorize, model: categorize.model });
    questions.push(await byModel(task, task.outputOf));
  } else if (categorize) {
    const decide = await rules({ ...categorize, columns: null, rowsPerRequest: undefined }, { ...context, columns: ['title', 'description', 'text'] });
    questions.push({
      identity: decide.identity, limits: [], priced: true,
      about: async ({ title, description, text }, signal) => (await decide.handle([{ row: 0, key: '', inputHash: '', input: { title, description, text } }], signal))[0]!,
      foresee: async () => FREE,
    });
  }
  return questions;
}

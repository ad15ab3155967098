/** Handling rows by asking a model about them: what `categorize` and `extract` have in common. */
import { z } from 'zod';
import type { Json, RowInput } from '../contracts/row.ts';
import type { Question } from '../models/questions.ts';
import type { HandlerContext, PreparedHandler } from './handler.ts';

/** Requests at once, unless the job says otherwise. */
const CONCURRENCY = 10;

export const modelName = z.string().trim().min(1).max(200)
  .describe('provider:model, such as openai:gpt-5-mini, anthropic:claude-sonnet-4-5, google:gemini-2.5-flash, or openai-compatible:llama3.2 for the endpoint in SHEAF_MODEL_URL');
export const rowsPerRequest = z.int().min(1).max(50);

/** A question, and what becomes of its answer. */
export interface ModelTask {
  question: Omit<Question, 'textsPerRequest'>;
  outputOf(answer: Json): Json;
  /** What else changes the output. */
  identity: Json;
}

/** `shown`: columns that the model reads; null: all. Empty cells are left out. */
export async function rowsByModel({ question, outputOf, identity }: ModelTask, shown: string[] | null, perRequest: number, context: HandlerContext): Promise<PreparedHandler> {
  const asker = await context.models.askAbout({ ...question, textsPerRequest: perRequest });
  const text = (input: RowInput): Json => Object.fromEntries((shown ?? context.columns).flatMap((name) => {
    const cell = input[name] ?? null;
    return cell === null || cell === '' ? [] : [[name, cell]];
  }));
  return {
    reads: shown,
    identity: { model: question.model, task: question.task, schema: question.schema, more: identity },
    batchSize: perRequest,
    concurrency: CONCURRENCY,
    limits: asker.limits,
    priced: asker.priced,
    foresee: (rows) => asker.foresee(rows.map(({ input }) => text(input))),
    handle: async (rows, signal) => (await asker.ask(rows.map(({ input }) => text(input)), signal))
      .map((outcome) => ('output' in outcome ? { ...outcome, output: outputOf(outcome.output) } : outcome)),
    close: async () => {},
  };
}

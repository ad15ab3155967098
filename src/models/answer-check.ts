/** Whether what a model said is JSON that fits a schema, which may be a user's own. */
import { RE2JS } from 're2js';
import { SheafError } from '../contracts/errors.ts';
import type { Json } from '../contracts/row.ts';
import type { JsonSchema } from './language-model.ts';

export type Checked = { value: Json } | { complaint: string };
export type AnswerCheck = (text: string) => Checked;

const MOST_COMPLAINT = 1_000;

/** Rejects with `invalid_options` where the schema is none. */
export async function answerCheck(schema: JsonSchema): Promise<AnswerCheck> {
  const { Ajv2020 } = await import('ajv/dist/2020.js');
  // RE2: a user's pattern over a model's text takes linear time.
  const regExp = Object.assign((pattern: string) => { const compiled = RE2JS.compile(pattern); return { test: (text: string) => compiled.test(text) }; }, { code: 'regExp' });
  const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false, formats: { date: /^\d{4}-\d{2}-\d{2}$/ }, code: { regExp } });
  const { $schema: _draft, ...plain } = schema;
  let fits;
  try {
    fits = ajv.compile<Json>(plain);
  } catch (error) {
    throw new SheafError('invalid_options', `The schema of the output cannot be used: ${(error instanceof Error ? error.message : String(error)).slice(0, 300)}`, { remedy: 'Give a JSON Schema of an object', place: { field: 'options.schema' } });
  }
  return (text) => {
    const value = parsed(text);
    if (value === undefined) return { complaint: 'It is not JSON.' };
    return fits(value) ? { value } : { complaint: `${ajv.errorsText(fits.errors, { dataVar: 'answer' })}.`.slice(0, MOST_COMPLAINT) };
  };
}

/** Some models put their JSON between fences. */
function parsed(text: string): Json | undefined {
  const [, fenced] = /^\s*```(?:json)?\s*\n([\s\S]*?)\n?```\s*$/.exec(text) ?? [];
  try {
    return JSON.parse(fenced ?? text) as Json;
  } catch {
    return undefined;
  }
}

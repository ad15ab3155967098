/**
 * Instructions for a model, as a template over columns: `{{Title}}` names a column. What stands in its cells never gets
 * into the instructions: the name refers to a field of the data, which is shown apart (`models/questions.ts`).
 */
import { z } from 'zod';
import { requireColumns } from './columns.ts';

export const instructions = z.string().trim().min(1).max(50_000);

const PLACE = /\{\{\s*([^{}]*?)\s*\}\}/g;

/** Columns that the template names, each once. */
export const columnsIn = (template: string): string[] => [...new Set([...template.matchAll(PLACE)].map(([, name]) => name!))];

/** As the model reads it. */
export const withReferences = (template: string): string => template.replaceAll(PLACE, (_whole, name: string) => `the field ${JSON.stringify(name)}`);

/** The columns that a model is shown; null: all. Throws `column_missing`. */
export function columnsShown(template: string | null, columns: readonly string[] | null, available: readonly string[]): string[] | null {
  if (columns !== null) requireColumns(columns, available, 'options.columns');
  const named = template === null ? [] : columnsIn(template);
  requireColumns(named, available, 'options.instructions');
  if (columns === null && named.length === 0) return null;
  const shown = new Set([...(columns ?? []), ...named]);
  return available.filter((name) => shown.has(name));
}

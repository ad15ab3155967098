/** Texts and JSON with places: `{{Title}}` stands for the cell of that column. What stands in a cell is never read for places. */
import type { Cell, Json } from '../contracts/row.ts';
import { typedCell } from './infer.ts';

const PLACE = /\{\{\s*([^{}]+?)\s*\}\}/g;
const WHOLE = /^\{\{\s*([^{}]+?)\s*\}\}$/;

/** Names of all places, each once; keys of objects have none. */
export function placesIn(template: Json): string[] {
  const names = new Set<string>();
  const look = (value: Json): void => {
    if (typeof value === 'string') for (const [, name] of value.matchAll(PLACE)) names.add(name!);
    else if (Array.isArray(value)) value.forEach(look);
    else if (value !== null && typeof value === 'object') Object.values(value).forEach(look);
  };
  look(template);
  return [...names];
}

/** An empty cell is an empty text. */
export const fillText = (template: string, cellOf: (name: string) => Cell, escape: (text: string) => string = (text) => text): string =>
  template.replaceAll(PLACE, (_, name: string) => escape(String(cellOf(name) ?? '')));

/** A text that is one place and nothing else becomes the cell itself, with its type; text that is a number becomes one. What `$…` stands for stays as it is. */
export function fillJson(template: Json, cellOf: (name: string) => Cell): Json {
  if (typeof template === 'string') {
    const whole = WHOLE.exec(template);
    if (!whole) return fillText(template, cellOf);
    const name = whole[1]!;
    return name.startsWith('$') ? cellOf(name) : typedCell(cellOf(name));
  }
  if (Array.isArray(template)) return template.map((value) => fillJson(value, cellOf));
  if (template === null || typeof template !== 'object') return template;
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, fillJson(value, cellOf)]));
}

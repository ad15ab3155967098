/** Settings that are too long for a variable: a file (YAML or JSON) that it names, or its content where it begins with `{`. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type Yaml from 'yaml';
import type { z } from 'zod';

export const isInline = (given: string): boolean => given.trimStart().startsWith('{');

/** Undefined: as an empty file. Throws an error whose message names the place. */
export function readSettingsFile<Content>(given: string | undefined, schema: z.ZodType<Content>): Content {
  if (given === undefined) return schema.parse({});
  const where = isInline(given) ? '' : `${given}: `;
  let content: unknown;
  try {
    const text = isInline(given) ? given : readFileSync(given, 'utf8');
    // Here, because it would cost every command of the CLI a moment. YAML holds JSON.
    const yaml = createRequire(import.meta.url)('yaml') as typeof Yaml;
    content = yaml.parse(text) ?? {};
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new Error(`${where}${code.startsWith('E') ? `cannot be read (${code})` : 'is neither YAML nor JSON'}`, { cause: error });
  }
  const parsed = schema.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new Error(`${where}${parsed.error.issues.map(readable).join('; ')}`, { cause: parsed.error });
}

function readable(issue: z.core.$ZodIssue): string {
  const at = issue.path.join('.');
  // Of the forms that a value may have, the object is the one of which something can be told.
  if (issue.code === 'invalid_union') {
    const inner = issue.errors.flat().find(({ path }) => path.length > 0);
    if (inner !== undefined) return readable({ ...inner, path: [...issue.path, ...inner.path] });
  }
  if (issue.code === 'unrecognized_keys') return `${at}: there is no setting ${issue.keys.join(', ')}`;
  if (issue.code === 'invalid_key') return `${at}: ${issue.issues.map(({ message }) => message).join(', ')}`;
  return at === '' ? issue.message : `${at}: ${issue.message}`;
}

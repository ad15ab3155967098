/** Every handler, in one place: a new one is a file beside this and a line here. */
import path from 'node:path';
import type { z } from 'zod';
import { SheafError } from '../contracts/errors.ts';
import type { Json } from '../contracts/row.ts';
import { nearest } from '../domain/nearest.ts';
import { categorize } from './categorize.ts';
import { extract } from './extract.ts';
import type { Handler, Work } from './handler.ts';
import { http } from './http.ts';
import { module } from './module.ts';
import { scrape } from './scrape.ts';
import { store } from './store.ts';

export const handlers: ReadonlyMap<string, Handler> = new Map([store, categorize, extract, scrape, http, module].map((handler: Handler) => [handler.name, handler]));

export interface HandlerChoice {
  name: string;
  options: { [name: string]: Json };
}

/**
 * What a user named, as a handler and its options. A path (`./my-handler.ts`) means handler `module` with that file:
 * the options given are then the module's own, but for `timeoutSeconds`, which is how long one call of it may take.
 * A relative path starts at `folder`, or without one, at each of the worker's handler folders.
 */
export function resolveHandler(nameOrPath: string, options: { [name: string]: Json }, folder?: string): HandlerChoice {
  const isPath = /[/\\]/.test(nameOrPath) || /\.(ts|mts|js|mjs)$/.test(nameOrPath);
  if (!isPath) return { name: nameOrPath, options };
  const { timeoutSeconds, ...own } = options;
  return {
    name: 'module',
    options: {
      file: folder === undefined ? nameOrPath : path.resolve(folder, nameOrPath),
      ...(Object.keys(own).length > 0 && { options: own }),
      ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    },
  };
}

/** Throws `unknown_handler`, which names those that exist. */
export function findHandler(name: string): Handler {
  const found = handlers.get(name);
  if (found !== undefined) return found;
  const names = [...handlers.keys()];
  const near = nearest(name, names);
  throw new SheafError('unknown_handler', `There is no handler "${name.slice(0, 100)}"${near === null ? '' : `; did you mean "${near}"?`}`, {
    remedy: `Use one of ${names.join(', ')}, or the path of your own module, such as ./my-handler.ts`,
    place: { field: 'handler' },
  });
}

export const workOf = ({ work }: Handler, options: HandlerChoice['options']): Work => (typeof work === 'function' ? work(options) : work);

/** The options as the handler takes them, defaults filled in. Throws `invalid_options`, which names each field that is wrong. */
export function parseOptions<Options>(handler: Handler<Options>, options: unknown): Options {
  const parsed = handler.options.safeParse(options ?? {});
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(readable);
  const first = problems[0]?.field ?? '';
  throw new SheafError('invalid_options', `Options of handler "${handler.name}": ${problems.slice(0, 5).map(({ text }) => text).join('; ')}`, {
    remedy: `The options of "${handler.name}" are described in the API's documentation`,
    place: { field: first === '' ? 'options' : `options.${first}` },
  });
}

function readable(issue: z.core.$ZodIssue): { field: string; text: string } {
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // Of the forms that an option may have, the one that fits furthest is the one that was meant.
    const inner = issue.errors.flatMap(([first]) => (first === undefined ? [] : [first])).sort((a, b) => b.path.length - a.path.length)[0];
    if (inner !== undefined && inner.path.length > 0) return readable({ ...inner, path: [...issue.path, ...inner.path] });
    const expected = [...new Set(issue.errors.flat().flatMap((one) => (one.code === 'invalid_type' ? [one.expected === 'record' ? 'object' : one.expected] : [])))];
    if (expected.length > 0) return named(issue.path.join('.'), `expected ${expected.join(' or ')}`);
  }
  if (issue.code === 'unrecognized_keys') {
    const where = issue.path.length > 0 ? ` in ${issue.path.join('.')}` : '';
    return { field: [...issue.path, issue.keys[0]].join('.'), text: `there is no option ${issue.keys.map((key) => `"${key}"`).join(', ')}${where}` };
  }
  return named(issue.path.join('.'), issue.message);
}

const named = (field: string, message: string): { field: string; text: string } => ({ field, text: field === '' ? message : `${field}: ${message}` });

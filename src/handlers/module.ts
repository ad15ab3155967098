/**
 * `module`: the user's own handler from a file, run in a thread (`module-thread.ts`). The file exports a function; the
 * types it may use are in `row-error.ts`.
 */
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { SheafError } from '../contracts/errors.ts';
import type { RowInput } from '../contracts/row.ts';
import { requireColumns } from './columns.ts';
import type { Handler } from './handler.ts';
import { ModuleThread } from './module-thread.ts';

const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs'];

const options = z.strictObject({
  file: z.string().min(1).max(4096).describe('Path of the module (.ts, .mts, .js or .mjs), absolute or from a handler folder'),
  options: z.record(z.string(), z.json()).default({}).describe('Handed to the module as context.options'),
  timeoutSeconds: z.number().positive().max(3600).default(60).describe('How long one call of the module may take'),
});

/**
 * An edited file, another exported `version` or other options handle every row anew. A file that the module imports
 * does not: raise `version` then.
 */
export const module: Handler<z.output<typeof options>> = {
  name: 'module',
  version: 1,
  summary: 'Calls your own function for every row, from a file.',
  options,
  work: 'costly',
  prepare: async ({ file, options: own, timeoutSeconds }, { handlerDirs, columns, log }) => {
    const thread = new ModuleThread({ file: await allowedFile(file, handlerDirs), options: own, columns, timeoutSeconds, log });
    try {
      const { hash, version, columns: reads, batchSize, concurrency, limits } = await thread.load();
      if (reads !== null) requireColumns(reads, columns, 'columns');
      return {
        reads,
        identity: { file: hash, version, options: own },
        batchSize: batchSize ?? 1,
        concurrency,
        limits,
        handle: (rows, signal) => thread.call(reads === null ? rows : rows.map((row) => ({ ...row, input: only(row.input, reads) })), signal),
        close: () => thread.close(),
      };
    } catch (error) {
      await thread.close();
      throw error;
    }
  },
};

/** The module's real path. Whoever may create jobs may run what lies in the handler folders, and nothing else. */
async function allowedFile(file: string, handlerDirs: readonly string[]): Promise<string> {
  const place = { field: 'options.file' };
  if (!EXTENSIONS.includes(path.extname(file))) {
    throw new SheafError('handler_invalid', `A handler module is a ${EXTENSIONS.join(', ')} file`, { remedy: 'Name the file with its extension', place });
  }
  const dirs = (await Promise.all(handlerDirs.map((dir) => realpath(dir).catch(() => null)))).filter((dir) => dir !== null);
  const candidates = path.isAbsolute(file) ? [file] : dirs.map((dir) => path.join(dir, file));
  for (const candidate of candidates) {
    const real = await realpath(candidate).catch(() => null);
    if (real === null) continue;
    if (dirs.some((dir) => liesIn(dir, real))) return real;
    throw notAllowed(file);
  }
  // What exists outside is nobody's business: only inside is a missing file called missing.
  if (!candidates.some((candidate) => [...dirs, ...handlerDirs].some((dir) => liesIn(dir, candidate)))) throw notAllowed(file);
  throw new SheafError('handler_not_found', `There is no handler module "${file}"`, { remedy: 'Give its path, absolute or from one of the folders in SHEAF_HANDLER_DIRS', place });
}

const liesIn = (dir: string, file: string): boolean => !path.relative(dir, file).startsWith('..') && !path.isAbsolute(path.relative(dir, file));

const notAllowed = (file: string): SheafError => new SheafError('handler_not_allowed', `"${file}" lies outside the folders that handler modules may be run from`, {
  remedy: 'Move it into one of the folders in SHEAF_HANDLER_DIRS, or add its folder there and start the worker again',
  place: { field: 'options.file' },
});

/** What a module does not read does not reach it, or its output could depend on what no hash covers. */
const only = (input: RowInput, columns: readonly string[]): RowInput => Object.fromEntries(columns.map((name) => [name, input[name] ?? null]));

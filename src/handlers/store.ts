/** `store`: keeps the row as it is, with types. Costs next to nothing a row, so it is also what Sheaf's own overhead is measured with. */
import { z } from 'zod';
import { typedRow } from '../domain/infer.ts';
import { allFree } from './free.ts';
import type { Handler } from './handler.ts';

const options = z.strictObject({});

export const store: Handler<z.output<typeof options>> = {
  name: 'store',
  version: 1,
  summary: 'Keeps every row as it is: text that is a number or a boolean gets its type.',
  options,
  work: 'cheap',
  prepare: async () => ({
    reads: null,
    identity: null,
    // Few at once, so that they are committed, and forgotten, before the collector copies them.
    batchSize: 100,
    concurrency: 4,
    foresee: allFree,
    handle: async (rows) => rows.map((row) => ({ output: typedRow(row.input) })),
    close: async () => {},
  }),
};

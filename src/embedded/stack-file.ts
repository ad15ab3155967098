/** `stack.json` in SHEAF_HOME: who runs there and where it answers. There while a stack runs; the CLI reads `api`. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

const processSchema = z.object({ pid: z.number().int(), started: z.string() });

const stackSchema = z.object({
  pid: z.number().int(),
  startedAt: z.string(),
  /** `http://host:port`; null until the API answers. */
  api: z.string().nullable(),
  /** host:port */
  temporal: z.string(),
  /** Null where the Temporal server is not Sheaf's own. */
  ui: z.string().nullable(),
  /** By name (`temporal`, `worker`, `api`), so that whoever starts next can end what outlived its stack. */
  children: z.record(z.string(), processSchema),
});

export type StackFile = z.infer<typeof stackSchema>;

const fileOf = (home: string): string => path.join(home, 'stack.json');

/** Null when there is none, or none that can be read. */
export function readStackFile(home: string): StackFile | null {
  try {
    return stackSchema.parse(JSON.parse(readFileSync(fileOf(home), 'utf8')));
  } catch {
    return null;
  }
}

export function writeStackFile(home: string, stack: StackFile): void {
  const unfinished = `${fileOf(home)}.${process.pid}`;
  writeFileSync(unfinished, `${JSON.stringify(stack, null, 2)}\n`);
  renameSync(unfinished, fileOf(home));
}

export function removeStackFile(home: string): void {
  rmSync(fileOf(home), { force: true });
}

/** What a reader and its child processes say to each other. */
import type { ErrorBody } from '../contracts/errors.ts';
import type { Analysis, ChunkOptions, Chunking, DetectedType, DocumentFile, DocumentLimits, Extraction, ExtractRequest, TokenEncoding } from './document.ts';

export interface Tasks {
  validate: { ask: { file: DocumentFile; password: string | undefined }; answer: DetectedType };
  extract: { ask: ExtractRequest; answer: Extraction };
  /** Loads what the two after it need. */
  prepare: { ask: object; answer: null };
  chunk: { ask: { folder: string; options: ChunkOptions }; answer: Chunking };
  analyse: { ask: { folder: string; extraction: Extraction; encoding: TokenEncoding | undefined }; answer: Analysis };
}

export type Task = { [name in keyof Tasks]: { task: name; limits: DocumentLimits } & Tasks[name]['ask'] }[keyof Tasks];

/** `clean`: nothing unforeseen happened, so the child may read another document. `rss` in bytes. */
export type Answer = { clean: boolean; rss: number } & ({ value: unknown } | { error: ErrorBody });

/** What the guard writes to the standard error of a child before it kills it. */
export const MEMORY_MARK = 'sheaf: the memory limit is reached';

/** Reads documents in killable child processes. */
import { DOCUMENT_LIMITS, type DocumentLimits, type DocumentReader } from './document.ts';

export interface ReaderOptions {
  limits?: Partial<DocumentLimits>;
  /** Children at once. Default: the number of processors. */
  concurrency?: number;
}

export function openReader(options: ReaderOptions = {}): DocumentReader {
  const limits = { ...DOCUMENT_LIMITS, ...options.limits };
  throw new Error(`not there yet (${limits.timeMs})`);
}

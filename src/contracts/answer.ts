/** An answer that was paid for, kept so that the same question is asked once. */
import type { Json } from './row.ts';

/** `key`: a hash of the whole request as it was rendered. */
export interface AnswerRecord {
  key: string;
  output: Json;
  /** What was paid for it; null: nobody knows. */
  tokens: number | null;
  cost: number | null;
}

/** Where the answers of one tenant are kept. */
export interface Answers {
  /** Those that are there, by key. */
  read(keys: string[]): Promise<ReadonlyMap<string, AnswerRecord>>;
  write(answer: AnswerRecord): Promise<void>;
}

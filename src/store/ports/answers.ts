/** Answers that were paid for. They stay when their job or source goes. */
import type { AnswerRecord } from '../../contracts/answer.ts';
import type { Sweep } from '../../contracts/system.ts';
import type { SweepAsked } from './cleanup.ts';

export interface AnswerStore {
  /** Those of the tenant's that are there, by key; at most 1,000 keys. */
  readAnswers(tenant: string, keys: string[]): Promise<ReadonlyMap<string, AnswerRecord>>;
  /** Replaces the one of this key. */
  writeAnswer(tenant: string, answer: AnswerRecord): Promise<void>;
  /** Those that were written before. Counted by answer. */
  sweepAnswers(asked: SweepAsked): Promise<Sweep>;
}

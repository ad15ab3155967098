/**
 * The port of language models that are asked about rows. Whoever wants an answer about a text asks through
 * `questions.ts` (`askAbout`): it fences the text, checks the answer, remembers it and tells what was paid.
 */
import type { Json } from '../contracts/row.ts';

export type JsonSchema = { [keyword: string]: Json };

/** What one call says to a model. */
export interface ModelRequest {
  system: string;
  prompt: string;
  /** Of the answer: an object. */
  schema: JsonSchema;
  /** The schema is one that servers can hold a model to as it stands. */
  strict: boolean;
  /** The same was asked before: what was said, and what is wrong with it. */
  repair?: { said: string; complaint: string };
}

/** Input and output; null where the server does not tell. */
export interface Tokens {
  input: number;
  output: number;
}

export interface Said {
  text: string;
  tokens: Tokens | null;
  /** The model was stopped at its longest output. */
  cut: boolean;
}

export interface LanguageModel {
  /** `provider:model`. */
  name: string;
  /** Named limits of the configuration that its calls take from. */
  limits: readonly string[];
  /** One call, tried once. Rejects with `ModelError`; with the signal's reason when that is aborted. */
  say(request: ModelRequest, signal: AbortSignal): Promise<Said>;
}

export interface LanguageModels {
  /** Rejects with `model_unknown`, `model_not_configured`. */
  open(name: string): Promise<LanguageModel>;
  /** Of tokens; null where the price table has no such model, or a server did not tell. */
  costOf(name: string, tokens: Tokens | null): number | null;
}

export type ModelFailure =
  | 'rate_limited' | 'model_overloaded' | 'model_timeout' | 'model_unreachable'
  | 'context_too_long' | 'content_refused' | 'model_key_rejected' | 'quota_exhausted' | 'model_not_found' | 'model_refused_request';

/** Why there is no answer. Its message is for people: nothing of what was asked, no key, nothing that the server wrote. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly code: ModelFailure;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** The server said to hold back for so long, or is known to want it. */
  readonly retryAfterSeconds: number | undefined;
  /** Paid all the same. */
  readonly tokens: Tokens | null;

  constructor(code: ModelFailure, message: string, more: { retryable?: boolean; retryAfterSeconds?: number | undefined; tokens?: Tokens | null; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.retryable = more.retryable ?? false;
    this.retryAfterSeconds = more.retryAfterSeconds;
    this.tokens = more.tokens ?? null;
  }
}

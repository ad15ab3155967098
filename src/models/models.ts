/** The port of language models: what a document's analysis may ask of one. Off unless configured. */

/** What a model says of a text. */
export interface Described {
  summary: string;
  tags: string[];
}

export interface TextModel {
  /** Which model answers, so that another one's answer is not taken for its own. */
  name: string;
  /** Rejects with what the server said, after it was asked again where that may help; with the signal's reason. */
  describe(text: string, signal: AbortSignal): Promise<Described>;
}

export interface EmbeddingModel {
  name: string;
  /** A vector for each text, in their order. Rejects as `describe` does. */
  embed(texts: string[], signal: AbortSignal): Promise<number[][]>;
}

/** Null: not configured. */
export interface Models {
  text: TextModel | null;
  embeddings: EmbeddingModel | null;
}

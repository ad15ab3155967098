/** Full text search: what is looked for, and what narrows it. `domain/search-text.ts` makes the terms of what a user types. */

/** One of several ways in which a clause may occur: words that stand side by side in this order; mostly it is one word. */
export type SearchPhrase = string[];

/** Occurs where any of its alternatives does. */
export type SearchClause = SearchPhrase[];

export interface SearchTerms {
  /** Every one must occur; never empty. */
  all: SearchClause[];
  /** None may occur. */
  none: SearchClause[];
}

/** Each narrows the hits further. */
export interface SearchFilter {
  /** Rows or passages; both unless said. */
  kind?: 'item' | 'passage';
  source?: string;
  lane?: string;
  /** The job that wrote the item last; a job that found it unchanged did not. */
  job?: string;
  /** That job has all of these tags. */
  tags?: string[];
  state?: 'done' | 'failed';
  /** ISO 8601. Written last at that time or later. */
  since?: string;
  /** ISO 8601. Written last before that time. */
  until?: string;
}

/** A piece of a row's text around what was found. */
export interface Highlight {
  /** Where the text stands: in a cell, or in what the handler answered. */
  in: 'input' | 'output';
  /** The column, or the path in the output (`labels.0`); empty where the output is itself a text. */
  name: string;
  /** One after the other they are the text; `…` at an end where it was cut. */
  parts: { text: string; match: boolean }[];
}

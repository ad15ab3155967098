/**
 * Categories by keywords and patterns.
 *
 * A category's score is its weight times the sum, over the columns, of the column's weight for each different term
 * found there. The highest score wins; of equal ones the category that was given first. With s the winner's score and
 * S the sum of all scores, confidence = s/S · s/(s + 0.5), rounded to 2 decimals: 0.67 for a single term without a
 * rival, nearer to 1 the more terms agree, lower where other categories fit too; 0 where the default was taken.
 */
import { setImmediate } from 'node:timers/promises';
import type { RowInput } from '../contracts/row.ts';
import { compilePattern, type CategorizeProvider, type Category } from './categorize-options.ts';
import { requireColumns } from './columns.ts';
import { allFree } from './free.ts';
import type { HandledOutcome } from './handler.ts';
import { keywordMatcher } from './keywords.ts';

const DOUBT = 0.5;
/** Patterns read no more of a cell. */
const PATTERN_CHARS = 100_000;
/** Long cells take long: after so much time others get their turn. */
const TURN_MS = 50;

interface Term {
  category: number;
  /** As the user gave it. */
  text: string;
}

export const rules: CategorizeProvider = async ({ categories, columns, default: fallback }, context) => {
  if (columns !== null) requireColumns([...columns.keys()], context.columns, 'options.columns');
  const weighted = context.columns.filter((name) => columns?.has(name) ?? true).map((name): [string, number] => [name, columns?.get(name) ?? 1]);
  const decide = decider(categories, weighted, fallback);
  return {
    reads: columns === null ? null : weighted.map(([name]) => name),
    identity: {
      provider: 'rules',
      categories: categories.map(({ name, keywords, patterns, weight }) => ({ name, keywords, patterns, weight })),
      columns: columns === null ? null : weighted,
      default: fallback,
    },
    batchSize: 100,
    concurrency: 4,
    foresee: allFree,
    handle: async (rows, signal) => {
      const outcomes: HandledOutcome[] = [];
      let since = performance.now();
      for (const { input } of rows) {
        outcomes.push({ output: decide(input) });
        if (performance.now() - since < TURN_MS) continue;
        await setImmediate();
        signal.throwIfAborted();
        since = performance.now();
      }
      return outcomes;
    },
    close: async () => {},
  };
};

type Decision = { category: string | null; confidence: number; matched: string[]; scores: { [category: string]: number } };

function decider(categories: readonly Category[], columns: readonly [string, number][], fallback: string | null): (row: RowInput) => Decision {
  const terms: Term[] = categories.flatMap(({ keywords }, category) => keywords.map((text) => ({ category, text })));
  const findKeywords = keywordMatcher(terms.map(({ text }) => text));
  const patterns = categories.flatMap(({ patterns }, category) => patterns.map((source) => {
    const term = terms.push({ category, text: `/${source}/` }) - 1;
    return { term, pattern: compilePattern(source) };
  }));

  return (row) => {
    const scores = new Map<number, number>(); // category → score
    const found = new Set<number>(); // terms, in the order in which they appear
    for (const [column, weight] of columns) {
      const cell = row[column];
      if (cell === null || cell === undefined || cell === '') continue;
      const text = String(cell);
      const here = new Set<number>();
      findKeywords(text, (term) => here.add(term));
      const head = text.slice(0, PATTERN_CHARS);
      for (const { term, pattern } of patterns) if (pattern.test(head)) here.add(term);
      for (const term of here) {
        const { category } = terms[term]!;
        scores.set(category, (scores.get(category) ?? 0) + weight * categories[category]!.weight);
        found.add(term);
      }
    }
    if (scores.size === 0) return { category: fallback, confidence: 0, matched: [], scores: {} };
    const ranked = [...scores].sort(([a, scoreA], [b, scoreB]) => scoreB - scoreA || a - b);
    const [best, score] = ranked[0]!;
    const sum = ranked.reduce((total, [, one]) => total + one, 0);
    return {
      category: categories[best]!.name,
      confidence: rounded((score / sum) * (score / (score + DOUBT)), 2),
      matched: [...found].filter((term) => terms[term]!.category === best).map((term) => terms[term]!.text),
      scores: Object.fromEntries(ranked.map(([category, one]) => [categories[category]!.name, rounded(one, 4)])),
    };
  };
}

const rounded = (value: number, decimals: number): number => Math.round(value * 10 ** decimals) / 10 ** decimals;

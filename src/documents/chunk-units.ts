/** The smallest pieces that a text is cut into: sentences where they are short, else parts of them. Together they are the text. */
import type { Block } from './document.ts';
import type { CountWithin } from './tokens.ts';

/** How good it is to cut in front of a piece. */
export const RANK = { token: 0, sentence: 1, paragraph: 2, heading: 3 } as const;
export type Rank = (typeof RANK)[keyof typeof RANK];

export interface Unit {
  start: number;
  end: number;
  tokens: number;
  rank: Rank;
  /** Index of its block. */
  block: number;
}

const SENTENCE = /[.!?…]+["'”’»)\]]*\s+|[。！？｡]["'”’」』）]*\s*|[׃।؟۔]\s*|\n+/gu;
/** What belongs to the character before it. */
const EXTENDS = /^[\p{M}\p{Grapheme_Extend}\p{Emoji_Modifier}\p{Join_Control}\u{e33}\u{eb3}]/u;
/** Code units of a cluster: a longer one is no character of any language, and may be cut. */
const LONGEST_GRAPHEME = 128;

const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });

/**
 * Pieces of at most `most` tokens each, but for a single character that has more, and for table rows of up to `mostRow`.
 * `blocks` from `first` on, up to and without `end`.
 */
export function* unitsOf(text: string, blocks: readonly Block[], first: number, end: number, count: CountWithin, most: number, mostRow: number): Generator<Unit> {
  let counted = blocks[first]?.start ?? 0;
  for (let index = first; index < end; index++) {
    const block = blocks[index]!;
    // What stands between blocks belongs to the one before.
    const to = index + 1 < end ? blocks[index + 1]!.start : block.end;
    const rank = rankOf(block, blocks[index - 1], index === first);
    const whole = block.kind === 'table_row' ? mostRow : most;
    let at = block.start;
    for (const stop of block.kind === 'table_row' ? [to] : sentenceEnds(text, block.start, to)) {
      for (const unit of refine(at, stop, whole)) yield unit;
      at = stop;
    }

    function* refine(from: number, until: number, limit: number): Generator<Unit> {
      // Space is counted with what follows it, as encoders do.
      const trimmed = from + text.slice(from, until).trimEnd().length;
      const tokens = trimmed > counted ? count(counted, trimmed) : 0;
      const cut = tokens > limit ? middle(text, from, until) : null;
      if (cut === null) {
        counted = Math.max(counted, trimmed);
        yield { start: from, end: until, tokens, rank: from === block.start ? rank : from === at ? RANK.sentence : RANK.token, block: index };
      } else {
        yield* refine(from, cut, most);
        yield* refine(cut, until, most);
      }
    }
  }
}

/** A heading begins something; what follows a heading belongs to it, and a table's rows to each other a little. */
function rankOf(block: Block, before: Block | undefined, first: boolean): Rank {
  if (first) return RANK.heading;
  if (before?.kind === 'heading') return RANK.token;
  if (block.kind === 'heading') return RANK.heading;
  return block.kind === 'table_row' && before?.table === block.table && before?.header === true ? RANK.token : RANK.paragraph;
}

function* sentenceEnds(text: string, start: number, end: number): Generator<number> {
  SENTENCE.lastIndex = 0;
  const piece = text.slice(start, end);
  for (const { 0: stop, index } of piece.matchAll(SENTENCE)) {
    const at = index + stop.length;
    if (at < piece.length && !EXTENDS.test(piece.slice(at, at + 2))) yield start + at;
  }
  yield end;
}

/** A place near the middle where the text may be cut: after a space, else between characters. Null: there is none. */
function middle(text: string, from: number, to: number): number | null {
  const half = from + ((to - from) >> 1);
  for (let distance = 0; distance < (to - from) / 4; distance++) {
    for (const at of [half - distance, half + distance]) {
      if (at > from && at < to && /\s/.test(text[at - 1]!) && !/\s/.test(text[at]!) && !EXTENDS.test(text.slice(at, at + 2))) return at;
    }
  }
  return characterBoundary(text, from, to, half);
}

/** The boundary of a character at `wanted` or near it; `from` and `to` are boundaries. */
function characterBoundary(text: string, from: number, to: number, wanted: number): number | null {
  // Where a cluster begins cannot be told from its middle: from a place before which one surely ends.
  let anchor = from;
  for (let at = wanted; at > from && at > wanted - 4 * LONGEST_GRAPHEME; at--) {
    if (isSureBoundary(text, at)) {
      anchor = at;
      break;
    }
  }
  if (anchor > from && wanted - anchor < LONGEST_GRAPHEME) return anchor;
  let before = anchor;
  for (const { segment, index } of graphemes.segment(text.slice(anchor, Math.min(to, wanted + 4 * LONGEST_GRAPHEME)))) {
    const start = anchor + index;
    if (start >= wanted && start > from && start < to) return start;
    if (segment.length > LONGEST_GRAPHEME && start + LONGEST_GRAPHEME < to) {
      const at = Math.max(start + LONGEST_GRAPHEME, Math.min(wanted, start + segment.length));
      const safe = /[\udc00-\udfff]/.test(text[at] ?? '') ? at + 1 : at;
      return safe < to ? safe : null;
    }
    if (start > from) before = start;
  }
  return before > from && before < to ? before : null;
}

/** Between two plain letters, or two ideographs, a character always ends. */
const isSureBoundary = (text: string, at: number): boolean => /[a-z0-9\u0400-\u04ff\u05d0-\u05ea\u0621-\u064a\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff]{2}/i.test(text.slice(at - 1, at + 1));

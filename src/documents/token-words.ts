/**
 * Where a text may be cut up so that the tokens of the parts are those of the whole, by every encoding: each cuts a text into words by
 * a pattern of its own before it looks for tokens, and none of those patterns reaches over such a place, nor looks beyond it.
 */

const KIND = { unknown: 0, letter: 1, mark: 2, blank: 3, space: 4, other: 5 } as const;
/** By code unit; half of a surrogate pair is `other`. */
const kinds = new Uint8Array(0x1_0000);

function kindOf(code: number): number {
  const known = kinds[code]!;
  return known === KIND.unknown ? (kinds[code] = look(String.fromCharCode(code))) : known;
}

function look(character: string): number {
  if (character === ' ') return KIND.blank;
  if (/\s/.test(character)) return KIND.space;
  if (/\p{L}/u.test(character)) return KIND.letter;
  // An apostrophe may be a part of the word, as in “it's”.
  return /\p{P}/u.test(character) && character !== "'" ? KIND.mark : KIND.other;
}

/** Before the single space in front of a letter, and between a letter and a punctuation mark; ascending. */
export function wordStarts(text: string): Uint32Array {
  let starts = new Uint32Array(64 + (text.length >> 2));
  let found = 0;
  let before: number = KIND.blank;
  for (let at = 0; at < text.length; at++) {
    const kind = kindOf(text.charCodeAt(at));
    const starting = kind === KIND.mark ? before === KIND.letter
      : kind === KIND.blank && before !== KIND.blank && before !== KIND.space && at + 1 < text.length && kindOf(text.charCodeAt(at + 1)) === KIND.letter;
    if (starting) {
      if (found === starts.length) starts = new Uint32Array(starts.buffer.transfer(starts.byteLength * 2));
      starts[found++] = at;
    }
    before = kind;
  }
  return starts.subarray(0, found);
}

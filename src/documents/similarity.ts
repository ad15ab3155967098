/**
 * MinHash (Broder, 1997): texts that share many of their word sequences share many of the minima of 128 hash functions,
 * and so likely one of 32 bands of four of them. The share of equal minima estimates the share of common sequences.
 */
import { createHash } from 'node:crypto';
import type { SimilaritySignature } from './document.ts';

const HASHES = 128;
const BAND = 4;
/** Words of a sequence; characters of one in scripts without spaces between words. */
const SHINGLE = 4;
/** Sequences that are looked at, evenly over the text: more make the estimate no better. */
const MOST_SHINGLES = 10_000;

const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]|[\p{L}\p{N}\p{M}]+/gu;

const NOT_ASCII = /[^\x00-\x7f]/;
/** FNV-1a. */
const SEED = 0x811c9dc5 | 0;
const PRIME = 0x01000193;

/** Multipliers and addends of the hash functions: fixed, so that signatures of all times can be compared. */
const MULTIPLIERS = new Uint32Array(HASHES);
const ADDENDS = new Uint32Array(HASHES);
for (let at = 0, state = 0x9e3779b9; at < HASHES; at++) {
  const next = (): number => (state = (Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x6d2b79f5) >>> 0);
  MULTIPLIERS[at] = next() | 1;
  ADDENDS[at] = next();
}

export function similaritySignature(text: string): SimilaritySignature {
  const words = wordHashes(text.toLowerCase().normalize('NFKC'));
  if (words.length === 0) return { minhash: '', bands: [] };
  const shingle = Math.min(SHINGLE, words.length);
  const step = Math.max(1, (words.length - shingle + 1) / MOST_SHINGLES);
  const sampled = step > 1;
  const minima = new Uint32Array(HASHES).fill(0xffffffff);
  for (let at = 0; at + shingle <= words.length; at++) {
    let hash = SEED;
    for (let word = at; word < at + shingle; word++) hash = Math.imul(hash ^ words[word]!, PRIME) >>> 0;
    // By content, not by place: the same sequences are chosen in both of two texts.
    if (sampled && (Math.imul(hash, 0xc2b2ae35) >>> 0) / 2 ** 32 > 1 / step) continue;
    for (let index = 0; index < HASHES; index++) {
      const mixed = Math.imul(hash ^ ADDENDS[index]!, MULTIPLIERS[index]!);
      const value = (mixed ^ (mixed >>> 15)) >>> 0;
      if (value < minima[index]!) minima[index] = value;
    }
  }
  const bytes = Buffer.from(minima.buffer);
  const bands = Array.from({ length: HASHES / BAND }, (_, band) =>
    `${band}:${createHash('sha256').update(bytes.subarray(band * BAND * 4, (band + 1) * BAND * 4)).digest('base64url').slice(0, 12)}`);
  return { minhash: bytes.toString('base64url'), bands };
}

function wordHashes(text: string): number[] {
  const words: number[] = [];
  if (NOT_ASCII.test(text)) {
    for (const [word] of text.matchAll(WORD)) {
      let hash = SEED;
      for (let at = 0; at < word.length; at++) hash = Math.imul(hash ^ word.charCodeAt(at), PRIME);
      words.push(hash >>> 0);
    }
    return words;
  }
  // The same words, in a loop: several times as fast as the pattern, for most texts.
  let hash = SEED;
  for (let at = 0; at <= text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code >= 97 && code <= 122) || (code >= 48 && code <= 57)) hash = Math.imul(hash ^ code, PRIME);
    else if (hash !== SEED) {
      words.push(hash >>> 0);
      hash = SEED;
    }
  }
  return words;
}

/** Estimated share of the word sequences that two texts have in common, 0 to 1. */
export function similarityOf(one: string, other: string): number {
  if (one === '' || other === '') return 0;
  const [first, second] = [Buffer.from(one, 'base64url'), Buffer.from(other, 'base64url')];
  let equal = 0;
  for (let at = 0; at + 4 <= Math.min(first.length, second.length); at += 4) if (first.readUInt32LE(at) === second.readUInt32LE(at)) equal += 1;
  return equal / HASHES;
}

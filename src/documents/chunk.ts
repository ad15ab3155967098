/** Cuts a text into passages by tokens, at the best places: before headings, paragraphs, sentences, and only then within them. */
import { SheafError } from '../contracts/errors.ts';
import { RANK, unitsOf, type Unit } from './chunk-units.ts';
import type { Block, Chunk, ChunkOptions, TokenEncoding } from './document.ts';
import { countWithin, type CountTokens, type CountWithin } from './tokens.ts';

export const CHUNK_DEFAULTS = { size: 1_200, overlap: 200, encoding: 'o200k_base' as TokenEncoding, mainOnly: false };

const LEAST_SIZE = 16;
const MOST_SIZE = 100_000;
/** How full a chunk is at least when it ends before a heading, a paragraph, a sentence. */
const FILL = { [RANK.heading]: 0.5, [RANK.paragraph]: 0.65, [RANK.sentence]: 0.8, [RANK.token]: 0 };
/** Characters of a heading in the path, and of a table's header that is repeated. */
const MAX_HEADING = 200;
const DEEPEST_HEADING = 6;

/** Throws `invalid_options`. */
export function chunkSettings(options: ChunkOptions): Required<ChunkOptions> {
  const settings = { ...CHUNK_DEFAULTS, ...options };
  const { size, overlap } = settings;
  const wrong = (field: string, message: string): never => {
    throw new SheafError('invalid_options', message, { remedy: `Give ${LEAST_SIZE} to ${MOST_SIZE} tokens, and an overlap of at most half of it`, place: { field } });
  };
  if (!Number.isInteger(size) || size < LEAST_SIZE || size > MOST_SIZE) wrong('size', `A chunk cannot have ${size} tokens`);
  if (!Number.isInteger(overlap) || overlap < 0 || overlap > size / 2) wrong('overlap', `Chunks of ${size} tokens cannot overlap by ${overlap}`);
  return settings;
}

/**
 * In order; neighbours overlap or touch, so that every character of the text (with `mainOnly`: of its main blocks) is in
 * one. A chunk has more tokens than `size` only where a single character has.
 */
export function* chunkText(text: string, blocks: readonly Block[], options: ChunkOptions, count: CountTokens): Generator<Chunk> {
  const settings = chunkSettings(options);
  const outline = outlineOf(text, blocks);
  const counts = { of: count, within: countWithin(text, count) };
  let index = 0;
  for (const [first, end] of runsOf(blocks, settings.mainOnly)) {
    for (const chunk of chunkRun(text, blocks, first, end, settings, counts, outline)) yield { index: index++, ...chunk };
  }
}

/** Blocks that are chunked together: all, or neighbours of the main text. */
function* runsOf(blocks: readonly Block[], mainOnly: boolean): Generator<[first: number, end: number]> {
  let first = 0;
  while (first < blocks.length) {
    let end = first;
    while (end < blocks.length && !(mainOnly && blocks[end]!.aside === true)) end++;
    if (end > first) yield [first, end];
    first = end + 1;
  }
}

/** Tokens of any text, and of a part of the one that is cut. */
interface Counts {
  of: CountTokens;
  within: CountWithin;
}

interface Outline {
  /** By block: the headings above it, itself among them. */
  headings: readonly (readonly string[])[];
  /** By number: the header rows of the table. */
  tables: ReadonlyMap<number, string>;
}

function outlineOf(text: string, blocks: readonly Block[]): Outline {
  const tables = new Map<number, string>();
  const headings: (readonly string[])[] = [];
  let path: readonly { level: number; title: string }[] = [];
  let titles: readonly string[] = [];
  for (const block of blocks) {
    if (block.kind === 'heading') {
      const level = block.level ?? 1;
      path = [...path.filter((above) => above.level < level), { level, title: text.slice(block.start, Math.min(block.end, block.start + MAX_HEADING)).toWellFormed().replaceAll('\n', ' ') }].slice(-DEEPEST_HEADING);
      titles = path.map(({ title }) => title);
    }
    if (block.kind === 'table_row' && block.header === true && block.table !== undefined) {
      const above = tables.get(block.table);
      tables.set(block.table, `${above === undefined ? '' : `${above}\n`}${text.slice(block.start, block.end)}`);
    }
    headings.push(titles);
  }
  return { headings, tables };
}

function* chunkRun(
  text: string, blocks: readonly Block[], first: number, end: number, { size, overlap }: Required<ChunkOptions>, counts: Counts, { headings, tables }: Outline,
): Generator<Omit<Chunk, 'index'>> {
  const units = unitsOf(text, blocks, first, end, counts.within, Math.max(4, size >> 3), size);
  /** From the chunk that is being made on; more are taken as they are needed. */
  let queue: Unit[] = [];
  /** Of them, those at the beginning that the chunk before has too. */
  let repeated = 0;
  let done = false;
  const more = (): boolean => {
    const next = units.next();
    if (next.done === true) done = true;
    else queue.push(next.value);
    return !done;
  };
  while (queue.length > 0 || more()) {
    const begin = queue[0]!;
    const header = headerOf(begin);
    const budget = size - (header?.tokens ?? 0);
    let filled = 0;
    let taken = 0;
    while (taken < queue.length || (!done && more())) {
      if (taken > 0 && filled + queue[taken]!.tokens > budget) break;
      filled += queue[taken++]!.tokens;
    }
    const last = taken === queue.length && done;
    let cut = last ? taken : bestCut(queue, taken, budget, repeated);
    let tokens = counts.within(begin.start, queue[cut - 1]!.end);
    // The sum of the pieces is nearly the whole's; where it is less, the last piece goes to the next chunk.
    while (tokens > budget && cut > 1) {
      cut -= 1;
      tokens = counts.within(begin.start, queue[cut - 1]!.end);
    }
    // What is repeated leaves no room for anything new: less is.
    if (cut <= repeated) {
      queue.shift();
      repeated -= 1;
      continue;
    }
    const pages = queue.slice(0, cut).flatMap(({ block }) => blocks[block]!.page ?? []);
    const { end: reached } = queue[cut - 1]!;
    yield {
      start: begin.start, end: reached, text: text.slice(begin.start, reached), tokens,
      pageStart: pages[0] ?? null, pageEnd: pages.at(-1) ?? null,
      headings: [...headings[headingBlock(begin)]!],
      ...(header !== null && { tableHeader: header.text }),
    };
    if (last && cut === taken) return;
    const start = overlapStart(queue, cut, overlap);
    repeated = cut - start;
    queue = queue.slice(start);
  }

  /** The last of the headings that a chunk begins with. */
  function headingBlock({ block }: Unit): number {
    let at = block;
    while (blocks[at]?.kind === 'heading' && blocks[at + 1]?.kind === 'heading' && at + 1 < end) at++;
    return at;
  }

  /** Of a chunk that begins in the middle of a table; null where it would be half of the chunk, or more. */
  function headerOf({ block, tokens }: Unit): { text: string; tokens: number } | null {
    const row = blocks[block]!;
    if (row.kind !== 'table_row' || row.header === true || row.table === undefined) return null;
    const header = tables.get(row.table);
    if (header === undefined) return null;
    const headerTokens = counts.of(header) + 1;
    return headerTokens > size / 2 || headerTokens + tokens > size ? null : { text: header, tokens: headerTokens };
  }
}

/** Of the places after `repeated` and up to `taken`, the best one that leaves the chunk full enough. */
function bestCut(queue: readonly Unit[], taken: number, budget: number, repeated: number): number {
  for (const rank of [RANK.heading, RANK.paragraph, RANK.sentence] as const) {
    let filled = queue.slice(0, taken).reduce((sum, { tokens }) => sum + tokens, 0);
    for (let at = taken; at > repeated && filled >= FILL[rank] * budget; at--) {
      if ((queue[at]?.rank ?? RANK.heading) >= rank) return at;
      filled -= queue[at - 1]!.tokens;
    }
  }
  return taken;
}

/** Where the next chunk begins: as early as the overlap allows, at a sentence where that is not much later. Later than this one. */
function overlapStart(queue: readonly Unit[], cut: number, overlap: number): number {
  let start = cut;
  let repeated = 0;
  let sentence: number | null = null;
  while (start > 1 && repeated + queue[start - 1]!.tokens <= overlap) {
    start -= 1;
    repeated += queue[start]!.tokens;
    if (queue[start]!.rank >= RANK.sentence && repeated >= overlap / 2) sentence = start;
  }
  return sentence ?? start;
}

/** Documents without their job: a PDF of 600 pages against pdf.js and a tokenizer alone, and the chunker against LangChain's. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { TokenTextSplitter } from '@langchain/textsplitters';
import { Tiktoken } from 'js-tiktoken/lite';
import o200k from 'js-tiktoken/ranks/o200k_base';
import { chunkText } from '../src/documents/chunk.ts';
import type { Block } from '../src/documents/document.ts';
import { openReader } from '../src/documents/reader.ts';
import { tokenCounter } from '../src/documents/tokens.ts';
import { COMPILED } from '../src/embedded/lean.ts';
import { pdf } from '../test/unit/pdf-material.ts';
import { median, seconds } from './median.ts';
import type { Measure, Setting } from './measure.ts';

const PAGES = 600;
const LINES = 45;
/** Characters of the text that is chunked; LangChain's splitter takes a minute for a few millions. */
const CHARACTERS = 1_000_000;

const SYLLABLES = ['an', 'ber', 'con', 'der', 'es', 'for', 'gra', 'hol', 'in', 'ka', 'lo', 'men', 'no', 'or', 'per', 'qui', 'ra', 'sto', 'ter', 'un', 'ver', 'with'];

/** Words as often as such words are, sentences of some twenty; the same in every run. */
function* words(): Generator<string> {
  for (let state = 6; ;) {
    const next = (below: number): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % below;
    const word = Array.from({ length: 1 + (next(4) & next(4)) }, () => SYLLABLES[next(SYLLABLES.length)]).join('');
    yield next(20) === 0 ? `${word}.` : word;
  }
}

function lines(count: number): string[] {
  const source = words();
  return Array.from({ length: count }, () => {
    let line = '';
    while (line.length < 80) line += `${source.next().value as string} `;
    return line.trimEnd();
  });
}

export async function documentText({ folder, rounds, scale, say }: Setting): Promise<Measure> {
  // Both sides find their code compiled, as it is from the second start on.
  Object.assign(process.env, COMPILED);
  const pages = Math.max(1, Math.round(PAGES * scale));
  const file = path.join(folder, 'book.pdf');
  const text = lines(pages * LINES);
  await writeFile(file, pdf(Array.from({ length: pages }, (_, page) => text.slice(page * LINES, (page + 1) * LINES).map((line, at) => ({ text: line, x: 50, y: 790 - 16 * at, size: 10 })))));

  const [bare, whole, splitter, chunker]: [number[], number[], number[], number[]] = [[], [], [], []];
  const prose = lines(Math.ceil((CHARACTERS * scale) / 81)).join('\n').replace(/\.\n/g, '.\n\n');
  const blocks: Block[] = [...prose.matchAll(/[^\n](?:[^\n]|\n(?!\n))*/g)].map(({ 0: paragraph, index }) => ({ kind: 'paragraph', start: index, end: index + paragraph.length, page: null }));
  const count = await tokenCounter('o200k_base');
  const tokens = count(prose);
  const langchain = new TokenTextSplitter({ encodingName: 'o200k_base', chunkSize: 1_200, chunkOverlap: 200 });
  // What it would otherwise fetch from a server of its own.
  Object.assign(langchain, { tokenizer: new Tiktoken(o200k) });

  const timed = async (times: number[], run: () => Promise<unknown>): Promise<void> => {
    const started = performance.now();
    await run();
    times.push((performance.now() - started) / 1_000);
  };
  for (let round = 0; round < rounds; round++) {
    await timed(bare, () => promisify(execFile)(process.execPath, [fileURLToPath(new URL('bare-pdf.ts', import.meta.url)), file]));
    // A reader of its own: both sides begin with a new process.
    const reader = openReader();
    const place = path.join(folder, `read-${round}`);
    await timed(whole, async () => {
      const extraction = await reader.extract({ file: { path: file, name: 'book.pdf' }, folder: place });
      await reader.chunk(place, {});
      await reader.analyse(place, extraction, {});
    });
    await reader.close();
    await timed(splitter, () => langchain.splitText(prose));
    await timed(chunker, async () => { for (const _ of chunkText(prose, blocks, {}, count)); });
    say(`PDF ${seconds(whole.at(-1)!)} against ${seconds(bare.at(-1)!)}; chunks ${seconds(chunker.at(-1)!)} against ${seconds(splitter.at(-1)!)}`);
  }
  const characters = (await readFile(path.join(folder, 'read-0', 'text.txt'), 'utf8')).length;
  const ratio = median(whole) / median(bare);
  const ahead = median(splitter) / median(chunker);
  const rate = (times: number[], amount: number): string => Math.round(amount / median(times)).toLocaleString('en');
  return {
    title: `A PDF of ${pages} pages (${characters.toLocaleString('en')} characters), and a text of ${tokens.toLocaleString('en')} tokens`,
    figures: [
      { what: 'extraction, chunks and analysis ÷ pdf.js and tokenizer alone', measured: `${ratio.toFixed(2)} × (${rate(whole, pages)} pages a second)`, budget: '≤ 1.3 ×', held: ratio <= 1.3 },
      { what: "chunker ÷ LangChain's TokenTextSplitter", measured: `${ahead.toFixed(1)} × (${rate(chunker, tokens)} against ${rate(splitter, tokens)} tokens a second)`, budget: '> 1 ×', held: ahead > 1 },
    ],
    details: { pages, characters, tokens, seconds: { bare, whole, splitter, chunker } },
  };
}

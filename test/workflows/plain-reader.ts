/** A reader of plain text in this process, which a test can hold up or make fail at any stage, and that counts its calls. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SheafError } from '../../src/contracts/errors.ts';
import type { Chunk, DocumentReader, Extraction } from '../../src/documents/document.ts';
import { similaritySignature } from '../../src/documents/similarity.ts';

type Step = 'validate' | 'extract' | 'chunk' | 'analyse';

export interface PlainReader extends DocumentReader {
  /** Called first; may wait, and may throw. */
  before: (step: Step, signal: AbortSignal | undefined) => Promise<void>;
  /** Every call, in order. */
  calls: Step[];
  reset(): void;
}

/** A passage a paragraph, cut to at most `size` words; `overlap` is no concern of these tests. */
function chunksOf(text: string, size: number): Chunk[] {
  const chunks: Chunk[] = [];
  for (const paragraph of text.matchAll(/[^\n]+/g)) {
    const words = [...paragraph[0].matchAll(/\S+\s*/g)];
    for (let at = 0; at < words.length; at += size) {
      const piece = words.slice(at, at + size).map(([word]) => word).join('');
      const start = paragraph.index + words[at]!.index;
      chunks.push({ index: chunks.length, start, end: start + piece.length, text: piece, tokens: Math.min(size, words.length - at), pageStart: 1, pageEnd: 1, headings: ['A heading'] });
    }
  }
  return chunks;
}

export function plainReader(): PlainReader {
  const nothing = async (): Promise<void> => {};
  const step = async (name: Step, signal: AbortSignal | undefined): Promise<void> => {
    reader.calls.push(name);
    await reader.before(name, signal);
    signal?.throwIfAborted();
  };
  const reader: PlainReader = {
    before: nothing, calls: [],
    reset() {
      reader.before = nothing;
      reader.calls = [];
    },
    async validate({ name }, _password, signal) {
      await step('validate', signal);
      return { type: 'text', mediaType: 'text/plain', named: name.endsWith('.pdf') ? 'pdf' : 'text', mismatch: name.endsWith('.pdf') };
    },
    async extract({ file, folder, password }, signal) {
      await step('extract', signal);
      const text = await readFile(file.path, 'utf8');
      if (text.startsWith('locked') && password !== 'open sesame') throw new SheafError(password === undefined ? 'password_required' : 'password_wrong', 'The file is encrypted.');
      await writeFile(path.join(folder, 'text.txt'), text);
      await writeFile(path.join(folder, 'blocks.ndjson'), '');
      return {
        type: 'text', mediaType: 'text/plain', metadata: { author: 'Ann' }, pages: 1, characters: text.length, mainCharacters: text.length, blocks: 0, tables: 0,
        ocrPages: 0, partial: text.startsWith('torn'), failedPages: text.startsWith('torn') ? [1] : [], warnings: [],
      } satisfies Extraction;
    },
    async chunk(folder, { size = 1_200 }, signal) {
      await step('chunk', signal);
      const chunks = chunksOf(await readFile(path.join(folder, 'text.txt'), 'utf8'), size);
      await writeFile(path.join(folder, 'chunks.ndjson'), chunks.map((chunk) => `${JSON.stringify(chunk)}\n`).join(''));
      return { chunks: chunks.length, tokens: 1, encoding: 'o200k_base', size, overlap: 0 };
    },
    async analyse(folder, { pages }, _options, signal) {
      await step('analyse', signal);
      const text = await readFile(path.join(folder, 'text.txt'), 'utf8');
      return {
        languages: [{ language: 'en', share: 1, confidence: 0.9 }], tokens: text.split(/\s+/).length, words: text.split(/\s+/).length, characters: text.length, pages,
        title: text.split('\n')[0] ?? null, keywords: ['key'], readingMinutes: 1, similarity: similaritySignature(text),
      };
    },
    close: nothing,
  };
  return reader;
}

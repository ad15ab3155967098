/** The child process of a reader: does one task after another, as its parent asks; see `reader.ts`. */
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { SheafError } from '../contracts/errors.ts';
import { localFile } from '../sources/files.ts';
import type { SheetFile } from '../sources/source.ts';
import { DOCUMENT_FILES, type Analysis, type Block, type Chunking, type DocumentFile, type Extraction } from './document.ts';
import { damaged } from './extract/input.ts';
import { Pieces, DocumentWriter, TextFull } from './extract/writer.ts';
import type { Answer, Task, Tasks } from './reader-protocol.ts';

const [memoryBytes = '0'] = process.argv.slice(2);
new Worker(new URL('reader-guard.ts', import.meta.url), { workerData: { memoryBytes: Number(memoryBytes), parent: process.ppid } }).unref();

/** Not needed by a child that is given texts only. */
const parsers = () => import('./extract/index.ts');

const open = async ({ path: file, name }: DocumentFile): Promise<SheetFile> => ({ ...(await localFile(file, [path.dirname(file)])), name });

async function extract({ file, folder, password, options = {}, limits }: Extract<Task, { task: 'extract' }>): Promise<Extraction> {
  mkdirSync(folder, { recursive: true });
  const { readInto, validateFile } = await parsers();
  const out = new DocumentWriter(folder, limits.textChars);
  try {
    const source = await open(file);
    const { type, mediaType } = await readInto({ file: source, password, options, limits, depth: 0 }, out).catch(async (error: unknown) => {
      if (!(error instanceof TextFull)) throw error;
      out.warn('text_too_long', `The text is longer than the ${limits.textChars} characters that are allowed; the rest is left out`, { missing: true });
      return validateFile(source, password, limits);
    });
    if (out.characters === 0) throw nothingFound(out, type === 'pdf', options.ocr === true);
    const { metadata, pages, characters, mainCharacters, blocks, tables, ocrPages, partial, failedPages, warnings } = out;
    return { type, mediaType, metadata, pages, characters, mainCharacters, blocks, tables, ocrPages, partial, failedPages, warnings };
  } finally {
    out.close();
  }
}

function nothingFound(out: DocumentWriter, isPdf: boolean, ocr: boolean): SheafError {
  if (out.partial) return damaged('no text can be had from it');
  return new SheafError('no_text', isPdf ? 'The document has no text: its pages are pictures, or empty' : 'The document has no text', {
    remedy: !isPdf ? 'Give a document with text' : ocr ? 'Check that tesseract is installed, or give a better scan' : 'Ask for OCR, or give a document with text',
  });
}

async function textAndBlocks(folder: string): Promise<{ text: string; blocks: Block[] }> {
  const [text, lines] = await Promise.all([readFile(path.join(folder, DOCUMENT_FILES.text), 'utf8'), readFile(path.join(folder, DOCUMENT_FILES.blocks), 'utf8')]);
  return { text, blocks: lines.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Block])) };
}

async function chunk({ folder, options }: Extract<Task, { task: 'chunk' }>): Promise<Chunking> {
  const [{ chunkSettings, chunkText }, { tokenCounter }] = await Promise.all([import('./chunk.ts'), import('./tokens.ts')]);
  const { size, overlap, encoding } = chunkSettings(options);
  const { text, blocks } = await textAndBlocks(folder);
  const file = new Pieces(path.join(folder, DOCUMENT_FILES.chunks));
  let [chunks, tokens] = [0, 0];
  try {
    for (const one of chunkText(text, blocks, options, await tokenCounter(encoding))) {
      file.add(`${JSON.stringify(one)}\n`);
      chunks += 1;
      tokens += one.tokens;
    }
  } finally {
    file.close();
  }
  return { chunks, tokens, encoding, size, overlap };
}

async function analyse({ folder, extraction, encoding = 'o200k_base' }: Extract<Task, { task: 'analyse' }>): Promise<Analysis> {
  const [{ analyseText }, { tokenCounter }] = await Promise.all([import('./analyse.ts'), import('./tokens.ts')]);
  const { text, blocks } = await textAndBlocks(folder);
  return analyseText(text, blocks, extraction, await tokenCounter(encoding));
}

async function prepare(): Promise<null> {
  const [{ tokenCounter }] = await Promise.all([import('./tokens.ts'), import('./chunk.ts'), import('./analyse.ts')]);
  await tokenCounter('o200k_base');
  return null;
}

async function perform(task: Task): Promise<Tasks[keyof Tasks]['answer']> {
  switch (task.task) {
    case 'validate': return (await parsers()).validateFile(await open(task.file), task.password, task.limits);
    case 'extract': return extract(task);
    case 'prepare': return prepare();
    case 'chunk': return chunk(task);
    case 'analyse': return analyse(task);
  }
}

/** A parser that stumbles says nothing that a person could use: the document is damaged, or made to hurt. */
const failure = (error: unknown): SheafError =>
  error instanceof SheafError ? error : damaged(error instanceof RangeError ? 'it is nested too deep, or larger than it can be' : 'it could not be read', error);

process.on('message', (task: Task) => {
  void perform(task)
    .then((value) => ({ value, clean: true }), (error: unknown) => ({ error: failure(error).body(), clean: error instanceof SheafError }))
    .then((answer) => process.send?.({ ...answer, rss: process.memoryUsage.rss() } satisfies Answer))
    // Its end comes by a signal, which leaves no time for it.
    .then(() => flushCompileCache());
});
process.on('disconnect', () => process.exit(0));
// Libraries leave promises behind when a file breaks off under them; what they were asked for rejects as well.
process.on('unhandledRejection', () => undefined);
process.send?.('ready');

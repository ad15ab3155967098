/** What each stage does: it reads what the stages before it stored, stores its own result, and answers what becomes of the record. */
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { blobKeys } from '../blobs/keys.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { DocumentPatch, DocumentRecord, DocumentStage, DocumentWarning, Passage } from '../contracts/document.ts';
import { SheafError } from '../contracts/errors.ts';
import type { DocumentJobRecord } from '../contracts/job.ts';
import { passageText } from '../domain/search-text.ts';
import { DOCUMENT_FILES, TOKEN_ENCODINGS, type Chunk, type DocumentFile, type Extraction, type TokenEncoding } from '../documents/document.ts';
import { allOf } from '../store/all-of.ts';
import type { Store } from '../store/store.ts';
import type { PassageSet } from '../store/ports/documents.ts';
import type { DocumentDeps } from './deps.ts';
import type { DocumentFolder } from './document-folder.ts';
import { askModels } from './document-models.ts';
import { similarDocuments } from './document-similarity.ts';

export interface StageContext extends DocumentDeps {
  store: Store;
  blobs: Blobs;
  folder: DocumentFolder;
  document: DocumentRecord;
  job: DocumentJobRecord;
  generation: number;
  by: { attempt: number; dispatch: number };
  /** Aborted when the stage must give up: the drain limit or the document's time has passed. */
  signal: AbortSignal;
  /** What must stand in the record before the stage goes on. */
  write(patch: DocumentPatch): Promise<void>;
  /** Tells how far the stage is, not more often than is useful. */
  progress(patch: DocumentPatch): Promise<void>;
}

const EXTRACTION_FILE = 'extraction.json';
const PASSAGES_FILE = 'passages.ndjson';
/** Passages written at once. */
const BATCH = 200;

export const STAGE_WORK: Record<Exclude<DocumentStage, 'upload'>, (context: StageContext) => Promise<DocumentPatch>> = {
  validation, scan, extraction, chunking, analysis, indexing, completion,
};

async function validation(context: StageContext): Promise<DocumentPatch> {
  const { document, reader, signal } = context;
  const file = await original(context);
  const { type, mismatch, named } = await reader.validate(file, (await passwordOf(context)) ?? undefined, signal);
  const warnings: DocumentWarning[] = [];
  if (mismatch) warnings.push({ code: 'type_mismatch', message: `The name says ${named ?? 'another type'}; the content is ${type}, and was read as that.` });
  if (document.declaredType !== null && document.declaredType !== type) {
    warnings.push({ code: 'type_mismatch', message: `It was uploaded as ${document.declaredType}; the content is ${type}, and was read as that.` });
  }
  return { type, warnings };
}

async function original({ folder, document }: StageContext): Promise<DocumentFile> {
  const { path: file, sha256 } = await folder.original(document.blobs.original);
  if (sha256 === document.sha256) return { path: file, name: document.fileName };
  throw new SheafError('checksum_mismatch', 'The stored file is not the one that was uploaded.', { remedy: 'It is read again. If that does not help, upload it again.' });
}

async function scan(context: StageContext): Promise<DocumentPatch> {
  const { document, scan: look, mayGoUnscanned, signal } = context;
  if (look === null) return { unscanned: true };
  const file = await original(context);
  try {
    const result = await look(createReadStream(file.path), signal);
    if (result.clean) return { unscanned: false };
    await quarantine(context);
    throw new SheafError('malware_found', `The file holds malware (${result.signature}).`, { remedy: 'It is kept out of reach. Delete the document.' });
  } catch (error) {
    const away = error instanceof SheafError && (error.code === 'scanner_unavailable' || error.code === 'scan_refused');
    if (!away || !mayGoUnscanned) throw error;
    return { unscanned: true, warnings: [...document.warnings, { code: error.code, message: 'No scanner has looked at the file.' }] };
  }
}

/** The record first: from then on nobody is given the file, wherever it lies. */
async function quarantine({ blobs, document, write, signal }: StageContext): Promise<void> {
  const key = blobKeys.quarantine(document.tenant, document.id);
  await write({ quarantined: true });
  if (document.blobs.original === key) return;
  await blobs.put(key, await blobs.stream(document.blobs.original), { signal });
  await write({ blobs: { ...document.blobs, original: key } });
  await blobs.delete(document.blobs.original);
}

async function extraction(context: StageContext): Promise<DocumentPatch> {
  const { document, reader, folder, signal, by } = context;
  const { tenant, id, options } = document;
  const password = await passwordOf(context);
  const extracted = await reader.extract({
    file: await original(context), folder: folder.path,
    options: { ocr: options.ocr, ...(options.ocrLanguage !== null && { ocrLanguages: options.ocrLanguage.split('+') }) },
    ...(password !== null && { password }),
  }, signal);
  await writeFile(path.join(folder.path, EXTRACTION_FILE), JSON.stringify(extracted));
  const key = (result: 'text' | 'blocks' | 'extraction'): string => blobKeys.stageResult(tenant, id, result, by.attempt, by.dispatch);
  await folder.store(DOCUMENT_FILES.text, key('text'));
  await folder.store(DOCUMENT_FILES.blocks, key('blocks'));
  await folder.store(EXTRACTION_FILE, key('extraction'));
  const { metadata, partial, pages, characters, failedPages } = extracted;
  return {
    partial, counts: { ...document.counts, pages, characters },
    blobs: { ...document.blobs, text: key('text'), blocks: key('blocks'), extraction: key('extraction') },
    metadata: {
      ...document.metadata, title: metadata.title ?? null, author: metadata.author ?? null, subject: metadata.subject ?? null,
      createdAt: metadata.created ?? null, modifiedAt: metadata.modified ?? null,
    },
    warnings: [
      ...document.warnings.filter(({ code }) => code === 'type_mismatch' || code === 'scanner_unavailable' || code === 'scan_refused'),
      ...extracted.warnings.map(({ code, message }): DocumentWarning => ({ code, message })),
      ...(failedPages.length > 0 ? [{ code: 'pages_failed', message: `${failedPages.length} pages could not be read.`, pages: failedPages }] : []),
    ],
  };
}

/** Used, and never again. */
export const wipePassword = ({ blobs }: Pick<StageContext, 'blobs'>, { tenant, id }: Pick<DocumentRecord, 'tenant' | 'id'>): Promise<void> =>
  blobs.delete(blobKeys.password(tenant, id));

async function passwordOf({ blobs, document }: StageContext): Promise<string | null> {
  const key = blobKeys.password(document.tenant, document.id);
  return (await blobs.head(key)) === null ? null : (await blobs.get(key)).toString();
}

/** The text and its blocks, wherever they were extracted. */
async function extractedFiles({ folder, document: { blobs } }: StageContext): Promise<void> {
  if (blobs.text === null || blobs.blocks === null || blobs.extraction === null) throw new SheafError('blob_not_found', 'The text of the document is not there.', { remedy: 'Reprocess it from extraction on.' });
  await folder.fetch(DOCUMENT_FILES.text, blobs.text);
  await folder.fetch(DOCUMENT_FILES.blocks, blobs.blocks);
  await folder.fetch(EXTRACTION_FILE, blobs.extraction);
}

function encodingOf({ encoding }: DocumentRecord['options']): TokenEncoding {
  const known = TOKEN_ENCODINGS.find((name) => name === encoding);
  if (known !== undefined) return known;
  throw new SheafError('invalid_options', `There is no token encoding ${encoding}.`, { remedy: `There are ${TOKEN_ENCODINGS.join(', ')}.`, place: { field: 'encoding' } });
}

async function chunking(context: StageContext): Promise<DocumentPatch> {
  const { document: { tenant, id, options, blobs, counts, metadata }, reader, folder, signal, by } = context;
  await extractedFiles(context);
  const { chunks } = await reader.chunk(folder.path, { size: options.chunkSize, overlap: options.overlap, encoding: encodingOf(options) }, signal);
  const key = blobKeys.stageResult(tenant, id, 'chunks', by.attempt, by.dispatch);
  await pipeline(createReadStream(path.join(folder.path, DOCUMENT_FILES.chunks)), passageLines, createWriteStream(path.join(folder.path, PASSAGES_FILE)), { signal });
  await folder.store(PASSAGES_FILE, key);
  return { blobs: { ...blobs, chunks: key }, counts: { ...counts, passages: chunks, indexed: 0 }, metadata: { ...metadata, embeddings: null } };
}

async function analysis(context: StageContext): Promise<DocumentPatch> {
  const { document, reader, folder, signal, store, blobs, models } = context;
  await extractedFiles(context);
  const extracted = JSON.parse(await readFile(path.join(folder.path, EXTRACTION_FILE), 'utf8')) as Extraction;
  const { languages, tokens, words, title, keywords, readingMinutes, similarity } = await reader.analyse(folder.path, extracted, { encoding: encodingOf(document.options) }, signal);
  const { warnings, ...said } = models === null ? NOTHING_SAID : await askModels({ document, blobs, models: await models(), signal }, path.join(folder.path, DOCUMENT_FILES.text), await passagesFile(context));
  return {
    warnings: [...document.warnings.filter(({ code }) => code !== 'model_failed'), ...warnings],
    counts: { ...document.counts, tokens, words },
    metadata: { ...document.metadata, ...said, title, keywords, readingMinutes, languages: languages.map(({ language, ...rest }) => ({ code: language, ...rest })) },
    similarity, similarTo: await similarDocuments(store, document, similarity),
  };
}

const NOTHING_SAID = { summary: null, suggestedTags: [], embeddings: null, warnings: [] };

/** Where the passages lie on this disk. */
async function passagesFile({ folder, document: { blobs } }: StageContext): Promise<string> {
  if (blobs.chunks === null) throw new SheafError('blob_not_found', 'The passages of the document are not there.', { remedy: 'Reprocess it from chunking on.' });
  await folder.fetch(PASSAGES_FILE, blobs.chunks);
  return path.join(folder.path, PASSAGES_FILE);
}

const setOf = ({ document: { tenant, documentKey, id, version }, generation }: StageContext): PassageSet => ({ tenant, documentKey, document: id, version, generation });

/** In bulk, in the order of the text. What a killed try of this attempt has written is not written again. */
async function indexing(context: StageContext): Promise<DocumentPatch> {
  const { document, store, job, progress, signal } = context;
  const { counts, fileName, metadata: { title }, tags } = document;
  const file = await passagesFile(context);
  let indexed = counts.indexed;
  const write = async (passages: Passage[]): Promise<void> => {
    signal.throwIfAborted();
    await store.writePassages({ set: setOf(context), job: job.id, tags, fileName, title, passages: passages.map((passage) => ({ ...passage, words: passageText(passage.text, passage.tableHeader) })) });
    indexed = passages.at(-1)!.number;
    await progress({ counts: { ...counts, indexed }, stagePercent: counts.passages === null ? 0 : (100 * indexed) / counts.passages });
  };
  let batch: Passage[] = [];
  for await (const line of linesOf(createReadStream(file))) {
    const passage = JSON.parse(line) as Passage;
    if (passage.number <= counts.indexed) continue;
    batch.push(passage);
    if (batch.length < BATCH) continue;
    await write(batch);
    batch = [];
  }
  if (batch.length > 0) await write(batch);
  return { counts: { ...counts, indexed } };
}

const linesOf = (input: Readable): AsyncIterable<string> => createInterface({ input, crlfDelay: Infinity });

/** The chunks of a document, a line each, as passages. */
async function* passageLines(chunks: Readable): AsyncGenerator<string> {
  for await (const line of linesOf(chunks)) {
    const { index, text, start, end, tokens, pageStart, pageEnd, headings, tableHeader } = JSON.parse(line) as Chunk;
    const passage: Passage = {
      number: index + 1, text, start, end, tokens, headings, tableHeader: tableHeader ?? null,
      pages: pageStart === null ? null : [pageStart, pageEnd ?? pageStart],
    };
    yield `${JSON.stringify(passage)}\n`;
  }
}

/** Shows the passages in place of those before, and removes what nobody needs any more. */
async function completion(context: StageContext): Promise<DocumentPatch> {
  const { document, store, blobs, generation } = context;
  const { tenant, id, documentKey } = document;
  const shown = await store.publishPassages(setOf(context));
  await supersede(store, document, shown);
  while (!(await store.removeStalePassages(tenant, documentKey, null))) context.signal.throwIfAborted();
  const needed = new Set<string | null>(Object.values(document.blobs));
  for (const result of ['text', 'blocks', 'extraction', 'chunks']) {
    for await (const { key } of blobs.list(`${blobKeys.documentFolder(tenant, id)}${result}/`)) if (!needed.has(key)) await blobs.delete(key);
  }
  return { published: shown ? { generation, passages: document.counts.indexed, at: new Date().toISOString() } : null };
}

/** The records of the key's other versions say that search does not find them any more. */
async function supersede(store: Store, { tenant, id, documentKey }: DocumentRecord, shown: boolean): Promise<void> {
  if (!shown || documentKey === id) return;
  for await (const other of allOf((page) => store.listDocuments(tenant, { documentKey }, page))) {
    if (other.id !== id && other.published !== null) await store.advanceDocument(tenant, other.id, { attempt: other.attempt, dispatch: other.dispatch }, { published: null });
  }
}

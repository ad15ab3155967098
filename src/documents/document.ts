/**
 * What documents are made of, and what is done to them: the vocabulary of this room. It knows nothing of jobs, tenants
 * or stores: files come in by path, and what is found goes out as files in a folder, because a book's text is larger
 * than a message ought to be. Everything that touches a document's bytes runs in child processes (`reader.ts`).
 */
import type { ErrorPlace } from '../contracts/errors.ts';

/** What a document turned out to be, by its content. */
export type DocumentType =
  | 'pdf' | 'docx' | 'pptx' | 'xlsx' | 'odt' | 'ods' | 'odp' | 'rtf' | 'html' | 'markdown' | 'epub' | 'eml' | 'xml' | 'csv' | 'text'
  | 'doc' | 'ppt' | 'xls';

export interface DetectedType {
  type: DocumentType;
  /** `application/pdf` … */
  mediaType: string;
  /** The type that the file's name says; null when it says none that Sheaf knows. */
  named: DocumentType | null;
  /** The name says another family of formats than the content is. */
  mismatch: boolean;
}

export interface DocumentLimits {
  /** Milliseconds that one step (extraction, chunking, analysis) of one document may take. */
  timeMs: number;
  /** Bytes of resident memory that the child process may reach. */
  memoryBytes: number;
  /** Characters of extracted text; what follows is cut off, and the document is `partial`. */
  textChars: number;
  /** Bytes that an archive (Office, OpenDocument, EPUB) may unpack to, all parts together. */
  inflatedBytes: number;
  /** Pages, slides or sheets. */
  pages: number;
  /** E-mail in e-mail in e-mail. */
  depth: number;
}

export const DOCUMENT_LIMITS: DocumentLimits = {
  timeMs: 15 * 60_000, memoryBytes: 2 * 2 ** 30, textChars: 100_000_000, inflatedBytes: 2 * 2 ** 30, pages: 20_000, depth: 4,
};

/** A document's bytes: a file on this machine's disk, with the name that its user gave it. */
export interface DocumentFile {
  path: string;
  name: string;
}

export interface ExtractOptions {
  /** Pages without text are read by tesseract, where it is installed. */
  ocr?: boolean;
  /** Languages for tesseract, as it names them. */
  ocrLanguages?: string[];
}

export interface ExtractRequest {
  file: DocumentFile;
  /** Gets `text.txt` and `blocks.ndjson`; what stands there is replaced. */
  folder: string;
  /** Opens encrypted documents. Goes to the child by its channel; never written anywhere. */
  password?: string;
  options?: ExtractOptions;
}

/** Names of the files in a document's folder. All UTF-8; NDJSON has one value a line. */
export const DOCUMENT_FILES = {
  /** The whole text, `\n` between lines. */
  text: 'text.txt',
  /** `Block` a line, in the order of the text. */
  blocks: 'blocks.ndjson',
  /** `Chunk` a line. */
  chunks: 'chunks.ndjson',
} as const;

export type BlockKind =
  | 'heading' | 'paragraph' | 'list_item' | 'table_row' | 'code' | 'quote' | 'caption' | 'footnote' | 'note' | 'page_header' | 'page_footer';

/**
 * A piece of the text with one purpose. Offsets count UTF-16 code units of the text, as JavaScript's strings do; `start`
 * inclusive, `end` exclusive. Between blocks stand line breaks only.
 */
export interface Block {
  kind: BlockKind;
  start: number;
  end: number;
  /** 1-based page, slide or sheet; null where the format has none. */
  page: number | null;
  /** Of a heading: 1 to 6. */
  level?: number;
  /** Of a table row: which table of the document, from 1; its row is Markdown (`| a | b |`). */
  table?: number;
  /** The row, or the line of dashes below it, is the table's header. */
  header?: boolean;
  /** Not of the main text: navigation, advertisements, page headers. */
  aside?: boolean;
}

/** Something a person should know about a document that was read all the same. */
export interface DocumentWarning {
  code: string;
  message: string;
  place?: ErrorPlace;
}

export interface DocumentMetadata {
  title?: string;
  author?: string;
  subject?: string;
  /** As the document states it. */
  keywords?: string;
  language?: string;
  /** Program that made it. */
  producer?: string;
  /** ISO 8601. */
  created?: string;
  modified?: string;
}

/** What extraction says; the text itself is in the folder. Bounded: some kilobytes at most. */
export interface Extraction {
  type: DocumentType;
  mediaType: string;
  metadata: DocumentMetadata;
  /** Pages, slides or sheets; null where the format has none. */
  pages: number | null;
  /** Length of the text in UTF-16 code units. */
  characters: number;
  /** Of them, those of the main text. */
  mainCharacters: number;
  blocks: number;
  tables: number;
  /** Pages that tesseract has read. */
  ocrPages: number;
  /** Something of the document is missing in the text; `warnings` say what. */
  partial: boolean;
  /** Pages that could not be read; at most 1,000 are named. */
  failedPages: number[];
  /** At most 100; the last then counts the rest. */
  warnings: DocumentWarning[];
}

export interface ChunkOptions {
  /** Tokens of a chunk, at most. Default 1,200. */
  size?: number;
  /** Tokens that a chunk repeats of the one before it, at most. Default 200. */
  overlap?: number;
  /** Default `o200k_base`. */
  encoding?: TokenEncoding;
  /** Leave out what is not of the main text (of web pages: navigation and the like). Default false. */
  mainOnly?: boolean;
}

export const TOKEN_ENCODINGS = ['o200k_base', 'o200k_harmony', 'cl100k_base', 'p50k_base', 'p50k_edit', 'r50k_base'] as const;
export type TokenEncoding = (typeof TOKEN_ENCODINGS)[number];

/** A passage. `text` is exactly the document's text from `start` to `end`. */
export interface Chunk {
  /** From 0. */
  index: number;
  start: number;
  end: number;
  text: string;
  /** Of `text`, in the encoding that was asked for. */
  tokens: number;
  /** First and last page; null where the format has none. */
  pageStart: number | null;
  pageEnd: number | null;
  /** Headings above its beginning, outermost first. */
  headings: string[];
  /** The header rows of the table that the chunk begins in the middle of, to be shown before `text`. */
  tableHeader?: string;
}

export interface Chunking {
  chunks: number;
  /** Of all chunks; what overlaps counts each time. */
  tokens: number;
  encoding: TokenEncoding;
  size: number;
  overlap: number;
}

export interface LanguageShare {
  /** ISO 639-1, or 639-3 where there is none. */
  language: string;
  /** Of the text, 0 to 1. */
  share: number;
  /** That the text is in it, 0 to 1. */
  confidence: number;
}

export interface Analysis {
  /** By share; empty when there is too little text to tell. */
  languages: LanguageShare[];
  /** Of the text, once; in the encoding of the chunks. */
  tokens: number;
  words: number;
  characters: number;
  pages: number | null;
  /** The document's own, else its first heading, else its first line; null when there is no text. */
  title: string | null;
  keywords: string[];
  readingMinutes: number;
  similarity: SimilaritySignature;
}

/** MinHash of the text's word shingles. Two texts are near-duplicates when they share a band and `similarityOf` is high. */
export interface SimilaritySignature {
  /** 128 minima of 32 bits, base64url. Empty for a text without words. */
  minhash: string;
  /** Terms to look candidates up by: near-duplicates share at least one. */
  bands: string[];
}

/**
 * Reads documents in child processes, one document a child at a time. Each call rejects with a `SheafError`, never
 * retryable but for `internal`: `unsupported_type`, `password_required`, `password_wrong`, `corrupt_file`, `no_text`,
 * `archive_too_large`, `too_many_pages`, `extraction_timeout`, `extraction_memory`, `extraction_crashed`. A child that meets
 * a limit is killed; the caller lives. `signal` kills the child too, and the call rejects with its reason.
 */
export interface DocumentReader {
  /** Type by content, sizes, archive ratios, encryption: cheap, without the text. */
  validate(file: DocumentFile, password?: string, signal?: AbortSignal): Promise<DetectedType>;
  extract(request: ExtractRequest, signal?: AbortSignal): Promise<Extraction>;
  /** Reads text and blocks of the folder, writes its chunks. */
  chunk(folder: string, options: ChunkOptions, signal?: AbortSignal): Promise<Chunking>;
  /** Reads text and blocks of the folder. */
  analyse(folder: string, extraction: Extraction, options: { encoding?: TokenEncoding }, signal?: AbortSignal): Promise<Analysis>;
  /** Ends the children; calls in flight reject. */
  close(): Promise<void>;
}

/**
 * A document on its way from upload to search: the record that the store keeps of it, its stages, and its passages.
 * Each document has one job (`kind: 'document'`) for life; every try at it, also with other options, is an attempt of that job.
 */
import type { Cause, JobState } from './job.ts';
import type { ErrorBody } from './errors.ts';

/** In their order. A document is in one of them, or has ended in it. */
export const DOCUMENT_STAGES = ['upload', 'validation', 'scan', 'extraction', 'chunking', 'analysis', 'indexing', 'completion'] as const;
export type DocumentStage = (typeof DOCUMENT_STAGES)[number];

/** Stages that may be asked for again. What comes before has its result in the blobs. */
export const REPROCESS_STAGES = ['validation', 'scan', 'extraction', 'chunking', 'analysis', 'indexing'] as const satisfies readonly DocumentStage[];
export type ReprocessStage = (typeof REPROCESS_STAGES)[number];

/** Percent of the whole that each stage stands for; together 100. */
export const STAGE_WEIGHTS: Record<DocumentStage, number> = {
  upload: 5, validation: 5, scan: 10, extraction: 40, chunking: 10, analysis: 10, indexing: 15, completion: 5,
};

/** What a user may ask of the processing; validated and with defaults filled in. */
export interface DocumentOptions {
  /** Tokens of a passage, 50 to 4,000. */
  chunkSize: number;
  /** Tokens that a passage repeats of the one before; below `chunkSize`. */
  overlap: number;
  /** Name of the tokens' encoding. */
  encoding: string;
  /** Read pages that are pictures, where tesseract is installed. */
  ocr: boolean;
  /** Language of OCR, as tesseract names it (`eng+heb`); null: its default. */
  ocrLanguage: string | null;
}
export const DEFAULT_DOCUMENT_OPTIONS: Readonly<DocumentOptions> = { chunkSize: 1_200, overlap: 200, encoding: 'o200k_base', ocr: false, ocrLanguage: null };

/** What is known of a file when its upload is complete; the job's request. */
export interface DocumentRequest {
  document: string;
  /** Names the document over its versions; the document's own id unless the user gave one. */
  documentKey: string;
  fileName: string;
  /** As the client said; never trusted. */
  contentType: string | null;
  /** The kind of file that the user says it is (`pdf`); null: not said. A mismatch with the content is reported. */
  declaredType: string | null;
  /** Bytes. */
  size: number;
  /** Of the file, in hexadecimal. */
  sha256: string;
  /** Blob key of the file as uploaded: `blobKeys.original`. */
  original: string;
  options: DocumentOptions;
  /** How long a stage under way may take to finish after a pause or cancel. */
  drainSeconds: number;
}

/** What is asked of an ended document: from which stage on it is done again, and how. */
export interface Reprocess {
  /** Null: the stage that it stopped at. */
  from: ReprocessStage | null;
  /** In place of those before; null: as before. */
  options: DocumentOptions | null;
}

export interface DocumentLanguage {
  /** ISO 639-1, or 639-3 where there is none. */
  code: string;
  /** Of the text, and how sure that is; 0–1 both. */
  share: number;
  confidence: number;
}

/** Null, or an empty list, while unknown. */
export interface DocumentMetadata {
  title: string | null;
  author: string | null;
  subject: string | null;
  /** ISO 8601, as the file says. */
  createdAt: string | null;
  modifiedAt: string | null;
  /** Most likely first. */
  languages: DocumentLanguage[];
  keywords: string[];
  readingMinutes: number | null;
  /** By a model, where one is configured. */
  summary: string | null;
  suggestedTags: string[];
  /** Blob keys of the passages' vectors, each of `EMBEDDED_AT_ONCE` passages in their order. */
  embeddings: { model: string; keys: string[] } | null;
}
/** Passages whose vectors are asked for, and lie, together. */
export const EMBEDDED_AT_ONCE = 64;
export const NO_METADATA: Readonly<DocumentMetadata> = {
  title: null, author: null, subject: null, createdAt: null, modifiedAt: null, languages: [], keywords: [], readingMinutes: null,
  summary: null, suggestedTags: [], embeddings: null,
};

/** Null while not counted; passages as cut. `indexed`: those of the try under way that are written. */
export interface DocumentCounts {
  /** Pages, slides or sheets; null also where a format has none. */
  pages: number | null;
  characters: number | null;
  words: number | null;
  tokens: number | null;
  passages: number | null;
  indexed: number;
}
export const NO_DOCUMENT_COUNTS: Readonly<DocumentCounts> = { pages: null, characters: null, words: null, tokens: null, passages: null, indexed: 0 };

/** Something that went less than well and did not end the document. */
export interface DocumentWarning {
  code: string;
  message: string;
  /** Pages that it is about, from 1. */
  pages?: number[];
}

/** How long a stage took in its last try, and when that ended (ISO 8601). */
export interface StageTime {
  completedAt: string;
  milliseconds: number;
}

/** Blob keys of what stages made; null: not there (yet, or any more). */
export interface DocumentBlobs {
  original: string;
  /** UTF-8 text under zstd: the text that passages' offsets count in. */
  text: string | null;
  /** Lines of JSON under zstd: headings, paragraphs, table rows with their offsets. */
  blocks: string | null;
  /** JSON: what extraction says of the text as a whole. */
  extraction: string | null;
  /** Lines of JSON under zstd, a passage a line. */
  chunks: string | null;
}

/** What texts that are nearly the same have in common. */
export interface Similarity {
  minhash: string;
  /** Documents that share one of them are worth a comparison. */
  bands: string[];
}

export interface DocumentRecord {
  tenant: string;
  id: string;
  owner: string;
  /** Its job's id. */
  job: string;
  fileName: string;
  contentType: string | null;
  declaredType: string | null;
  /** By content, as `documents/` names it (`pdf`, `docx`, …); null before validation. */
  type: string | null;
  /** Bytes. */
  size: number;
  sha256: string;
  documentKey: string;
  /** From 1, in the order in which uploads of the same key were accepted; the store gives it. */
  version: number;
  tags: string[];
  options: DocumentOptions;
  /** The job's, written with it: lists and status read one record. */
  state: JobState;
  cause: Cause | null;
  until: string | null;
  /** One sentence for people. */
  reason: string | null;
  error: ErrorBody | null;
  attempt: number;
  /** (attempt, sequence) guards the state, as it guards the job's; (attempt, dispatch) what stages write: neither keeps the other out. */
  sequence: number;
  dispatch: number;
  /** The lane's that `counts.indexed` and the stage `indexing` are of; 0 before the first work. */
  generation: number;
  /** The one under way or, at the end, the one that it ended in. */
  stage: DocumentStage;
  /** 0–100 of the stage, counted where the stage counts. */
  stagePercent: number;
  /** Stages whose result is there for the options of the record; a retry does not do them again. */
  stages: Partial<Record<DocumentStage, StageTime>>;
  /** Milliseconds that stages have worked in this attempt: what the limit of an hour counts. */
  workedMs: number;
  /** Some of its pages could not be read; `warnings` say which. */
  partial: boolean;
  warnings: DocumentWarning[];
  /** No scanner looked at it, as configured. */
  unscanned: boolean;
  /** Malware was found: nobody but an administrator reads the file. */
  quarantined: boolean;
  counts: DocumentCounts;
  metadata: DocumentMetadata;
  similarity: Similarity | null;
  /** Earlier documents of the tenant with nearly the same text, the most alike first. */
  similarTo: { document: string; similarity: number }[];
  blobs: DocumentBlobs;
  /** What search finds of it: passages of that generation; null: nothing. Also null once a newer version has taken its place. */
  published: { generation: number; passages: number; at: string } | null;
  createdAt: string;
  /** When a stage began to work for the first time. */
  startedAt: string | null;
  completedAt: string | null;
  updatedAt: string;
}

/** Who writes: the job's states by the workflow's sequence, stages by their dispatch, which grows with every try. */
export type DocumentWriter = { attempt: number; sequence: number } | { attempt: number; dispatch: number };

/** What activities may write of a document. */
export type DocumentPatch = Partial<Omit<DocumentRecord,
  'tenant' | 'id' | 'owner' | 'job' | 'fileName' | 'contentType' | 'declaredType' | 'size' | 'sha256' | 'documentKey' | 'version' | 'attempt' | 'sequence' | 'dispatch' | 'createdAt' | 'updatedAt'>>;

/** What lists show and filter by. */
export interface DocumentFilter {
  state?: JobState[];
  /** By content. */
  type?: string;
  tag?: string;
  owner?: string;
  documentKey?: string;
  sha256?: string;
  /** ISO 8601; accepted at that time or later, before that time. */
  since?: string;
  before?: string;
}

/** 0–100, rounded down to one decimal: the weights of the stages behind, and the counted part of the one under way. */
export function documentPercent({ state, stage, stagePercent }: Pick<DocumentRecord, 'state' | 'stage' | 'stagePercent'>): number {
  if (state === 'completed') return 100;
  const before = DOCUMENT_STAGES.slice(0, DOCUMENT_STAGES.indexOf(stage)).reduce((sum, name) => sum + STAGE_WEIGHTS[name], 0);
  return Math.floor((before + (STAGE_WEIGHTS[stage] * Math.min(100, stagePercent)) / 100) * 10) / 10;
}

/** A stretch of a document's text, as chunking cut it. */
export interface Passage {
  /** From 1, in the order of the text. */
  number: number;
  text: string;
  /** Characters of the document's text (UTF-16 code units), `end` excluded: `text` is exactly what stands there. */
  start: number;
  end: number;
  tokens: number;
  /** Pages that it stands on, both included; null where the format has none. */
  pages: [from: number, to: number] | null;
  /** Headings above it, outermost first. */
  headings: string[];
  /** Header rows of the table that it begins in the middle of, to be shown before `text`; null: it does not. */
  tableHeader: string | null;
}


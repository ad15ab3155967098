/** Requests and answers about documents and their uploads; as `api.ts`, whose conventions hold. The names of uploads are those that uploaders of files know. */
import { z } from 'zod';
import { count, day, errorAnswer, ID_PATTERN, listQuery, time } from './api.ts';
import { tags } from './job-api.ts';
import { DEFAULT_DOCUMENT_OPTIONS, DOCUMENT_STAGES, REPROCESS_STAGES } from './document.ts';
import { CAUSES, JOB_STATES, PRIORITIES } from './job.ts';
import type { Json } from './row.ts';
import { UPLOAD_STATES } from './upload.ts';

const percent = z.number().min(0).max(100);

// ── What is asked of the processing ─────────────────────────────────────────────────────────────────────────────

const { chunkSize, overlap, encoding } = DEFAULT_DOCUMENT_OPTIONS;

const optionFields = {
  chunk_size: z.int().min(50).max(4_000).default(chunkSize).meta({ description: 'Tokens of a passage' }),
  overlap: z.int().min(0).max(2_000).default(overlap).meta({ description: 'Tokens that a passage repeats of the one before; less than `chunk_size`' }),
  encoding: z.string().min(1).max(40).default(encoding).meta({ description: 'Name of the encoding that tokens are counted in' }),
  ocr: z.boolean().default(false).meta({ description: 'Read pages that are pictures, where tesseract is installed' }),
  ocr_language: z.string().regex(/^[A-Za-z_]{2,20}(\+[A-Za-z_]{2,20}){0,9}$/, 'expected names as tesseract has them, such as eng+heb').exactOptional(),
};

export const processingOptions = z
  .strictObject({
    ...optionFields,
    password: z.string().min(1).max(1_000).exactOptional().meta({ description: 'Opens an encrypted file. Kept until it has been used, and shown nowhere' }),
  })
  .refine((options) => options.overlap < options.chunk_size, { path: ['overlap'], error: 'is not less than chunk_size' })
  .meta({ id: 'ProcessingOptions' });
const optionsAnswer = z.strictObject({ ...optionFields, ocr_language: z.string().nullable() });
export type ProcessingOptions = z.input<typeof processingOptions>;

const documentType = z.string().regex(/^\.?[A-Za-z0-9-]{1,20}$/, 'expected a type such as pdf or docx').meta({ description: 'What the user says that it is (`pdf`); another content is reported' });
export const documentKey = z.string().min(1).max(200).regex(/^[^\p{Cc}]+$/u, 'has a character that is not allowed')
  .meta({ description: 'Names the document over its versions: a later upload with the same key takes its place in search. Default: a document of its own' });
const sha256 = z.string().regex(/^[0-9A-Fa-f]{64}$/, 'expected 64 hexadecimal digits').toLowerCase().meta({ description: 'Of the whole file; another content is refused' });
const priority = z.string().toLowerCase().pipe(z.enum(PRIORITIES)).default('normal');
const contentType = z.string().max(255).meta({ description: 'As the client knows it; never trusted' });
const fileName = z.string().min(1).max(1_000).meta({ description: "The file's name; of a path, the last part" });

export const initiateBody = z
  .strictObject({
    filename: fileName,
    file_size: count.meta({ description: 'Bytes' }),
    content_type: contentType.exactOptional(),
    document_type: documentType.exactOptional(),
    processing_options: processingOptions.prefault({}),
    priority,
    sha256: sha256.exactOptional(),
    document_key: documentKey.exactOptional(),
    tags: tags.default([]),
    force: z.boolean().default(false).meta({ description: 'Make a document also of bytes that the tenant has one of' }),
  })
  .meta({ id: 'UploadRequest' });
export type InitiateBody = z.input<typeof initiateBody>;

/** JSON inside a field of a form or query. */
const jsonText = z.string().transform((text, { addIssue }): unknown => {
  try {
    return JSON.parse(text) as Json;
  } catch {
    addIssue({ code: 'custom', message: 'is not valid JSON' });
    return z.NEVER;
  }
});

/** Beside the file of a simple upload, in the form or the query: all of it text. */
export const simpleFields = z.strictObject({
  filename: fileName.exactOptional(),
  document_type: documentType.exactOptional(),
  processing_options: jsonText.pipe(processingOptions).prefault('{}').meta({ description: 'JSON: see ProcessingOptions', override: { type: 'string' } }),
  priority,
  sha256: sha256.exactOptional(),
  document_key: documentKey.exactOptional(),
  tags: z.string().transform((text) => text.split(',').map((tag) => tag.trim()).filter(Boolean)).pipe(tags).prefault('').meta({ description: 'Separated by commas', override: { type: 'string' } }),
  force: z.stringbool().prefault('false').meta({ description: 'Make a document also of bytes that the tenant has one of', override: { type: 'string', enum: ['true', 'false'] } }),
});

const file = z.string().meta({ override: { type: 'string', format: 'binary' } });
export const simpleForm = simpleFields.partial().extend({ file }).meta({ id: 'SimpleUpload' });

const wholeNumber = z.string().regex(/^\d{1,6}$/, 'expected a whole number').transform(Number);

export const chunkFields = z.looseObject({
  upload_id: z.string().regex(ID_PATTERN),
  part_number: wholeNumber.pipe(z.int().min(1)).meta({ description: 'From 1' }),
  total_parts: wholeNumber.exactOptional().meta({ description: 'As `initiate` answered' }),
  chunk_hash: z.string().regex(/^[0-9A-Fa-f]{32}$/, 'expected the MD5 of the part as 32 hexadecimal digits').toLowerCase().meta({ description: 'MD5 of the part, in hex' }),
  is_final_chunk: z.stringbool().exactOptional().meta({ override: { type: 'string', enum: ['true', 'false'] } }),
});
export const chunkForm = z
  .object({ upload_id: z.string(), part_number: z.int(), total_parts: z.int().optional(), chunk_hash: z.string(), is_final_chunk: z.boolean().optional(), chunk_file: file })
  .meta({ id: 'UploadPart', description: 'The file comes after the other fields.' });

// ── Uploads ─────────────────────────────────────────────────────────────────────────────────────────────────────

export const initiatedAnswer = z
  .strictObject({
    upload_id: z.string(),
    job_id: z.string().meta({ description: 'Reserved: the job is there once the upload is complete' }),
    document_id: z.string().meta({ description: 'Reserved, too' }),
    chunk_size: z.int().min(1).meta({ description: 'Bytes of every part but the last' }),
    total_parts: z.int().min(1),
    expires_at: time,
  })
  .meta({ id: 'UploadInitiated' });
export type InitiatedAnswer = z.infer<typeof initiatedAnswer>;

const received = {
  total_parts: z.int().min(1),
  parts_received: count,
  bytes_received: count,
  percent: percent.meta({ description: 'Of the bytes' }),
};

export const partAnswer = z
  .strictObject({ upload_id: z.string(), part_number: z.int(), accepted: z.literal(true), repeated: z.boolean().meta({ description: 'It had arrived before' }), ...received })
  .meta({ id: 'PartAccepted' });
export type PartAnswer = z.infer<typeof partAnswer>;

export const activeUploadAnswer = z
  .strictObject({
    ...initiatedAnswer.shape,
    state: z.enum(UPLOAD_STATES).exclude(['arriving']),
    filename: z.string(),
    file_size: count,
    content_type: z.string().nullable(),
    document_type: z.string().nullable(),
    processing_options: optionsAnswer,
    priority: z.enum(PRIORITIES),
    sha256: z.string().nullable(),
    document_key: z.string().nullable(),
    tags: z.array(z.string()),
    force: z.boolean(),
    ...received,
    created_at: time,
    error: errorAnswer.optional(),
  })
  .meta({ id: 'ActiveUpload' });
export type ActiveUploadAnswer = z.infer<typeof activeUploadAnswer>;

export const uploadStatusAnswer = activeUploadAnswer
  .extend({ received_parts: z.array(z.int()), missing_parts: z.array(z.int()) })
  .meta({ id: 'UploadStatus' });
export type UploadStatusAnswer = z.infer<typeof uploadStatusAnswer>;

export const cancelledAnswer = z.strictObject({ success: z.literal(true), upload_id: z.string(), status: z.literal('cancelled') }).meta({ id: 'UploadCancelled' });

const DOCUMENT_STATUSES = ['processing', 'ready', 'failed'] as const;

export const uploadedAnswer = z
  .strictObject({
    success: z.literal(true),
    document_id: z.string(),
    status: z.enum(DOCUMENT_STATUSES),
    message: z.string(),
    duplicateOf: z.string().optional().meta({ description: 'The document that the tenant had of these bytes already; it is the one that answers' }),
  })
  .meta({ id: 'DocumentUploaded' });
export type UploadedAnswer = z.infer<typeof uploadedAnswer>;

export const acceptedAnswer = uploadedAnswer.extend({ job_id: z.string() }).meta({ id: 'DocumentAccepted' });
export type AcceptedAnswer = z.infer<typeof acceptedAnswer>;

// ── Documents ───────────────────────────────────────────────────────────────────────────────────────────────────

export const TASK_STATES = ['PENDING', 'PROCESSING', 'SUCCESS', 'FAILURE'] as const;

export const documentStatusAnswer = z
  .strictObject({
    document_id: z.string(),
    status: z.enum(DOCUMENT_STATUSES),
    progress: percent,
    task_state: z.enum(TASK_STATES),
    message: z.string(),
    total_chunks: count.meta({ description: '0 until it has been cut' }),
    ready: z.boolean(),
  })
  .meta({ id: 'DocumentStatus' });
export type DocumentStatusAnswer = z.infer<typeof documentStatusAnswer>;

export const documentAnswer = z
  .strictObject({
    ...documentStatusAnswer.shape,
    task_status: z.enum(TASK_STATES),
    task_info: z.strictObject({ progress: percent, message: z.string(), stage: z.enum(DOCUMENT_STAGES), attempt: z.int().min(1) }),
    job_id: z.string(),
    owner: z.string(),
    filename: z.string(),
    file_size: count,
    sha256: z.string(),
    content_type: z.string().nullable(),
    document_type: z.string().nullable().meta({ description: 'By content; null until it was looked at' }),
    document_key: z.string(),
    version: z.int().min(0),
    tags: z.array(z.string()),
    state: z.enum(JOB_STATES),
    cause: z.enum(CAUSES).optional(),
    until: time.optional(),
    error: errorAnswer.optional(),
    stages: z.partialRecord(z.enum(DOCUMENT_STAGES), z.strictObject({ completed_at: time, milliseconds: z.number() })),
    partial: z.boolean().meta({ description: 'Some of it could not be read; `warnings` say what' }),
    warnings: z.array(z.strictObject({ code: z.string(), message: z.string(), pages: z.array(z.int()).optional() })),
    unscanned: z.boolean(),
    quarantined: z.boolean(),
    searchable: z.boolean().meta({ description: 'Search finds its passages' }),
    similar_to: z.array(z.strictObject({ document: z.string(), similarity: z.number() })).meta({ description: 'Earlier documents with nearly the same text, the most alike first' }),
    processing_options: optionsAnswer,
    metadata: z.strictObject({
      title: z.string().nullable(),
      author: z.string().nullable(),
      subject: z.string().nullable(),
      created_at: z.string().nullable(),
      modified_at: z.string().nullable(),
      languages: z.array(z.strictObject({ code: z.string(), confidence: z.number() })),
      keywords: z.array(z.string()),
      reading_minutes: z.number().nullable(),
      summary: z.string().nullable().meta({ description: 'By a model, where one is configured' }),
      suggested_tags: z.array(z.string()).meta({ description: 'By a model, too' }),
      embedding_model: z.string().nullable().meta({ description: "What made the passages' vectors, which `chunks?format=json` has" }),
      page_count: count.nullable(),
      character_count: count.nullable(),
      word_count: count.nullable(),
      token_count: count.nullable(),
      chunk_count: count.nullable(),
    }),
    created_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable(),
    updated_at: time,
    links: z.strictObject({ self: z.string(), status: z.string(), job: z.string(), text: z.string(), chunks: z.string() }),
  })
  .meta({ id: 'Document' });
export type DocumentAnswer = z.infer<typeof documentAnswer>;

export const documentQuery = z.strictObject({
  status: z.enum(DOCUMENT_STATUSES).exactOptional(),
  state: z.array(z.enum(JOB_STATES)).exactOptional().meta({ description: 'In one of these states; repeated or with commas' }),
  type: z.string().min(1).max(20).exactOptional().meta({ description: 'By content: pdf, docx, …' }),
  tag: z.string().min(1).max(64).exactOptional(),
  owner: z.string().min(1).max(63).exactOptional(),
  document_key: z.string().min(1).max(200).exactOptional(),
  sha256: sha256.exactOptional(),
  since: day.exactOptional().meta({ description: 'Accepted at this time (ISO 8601) or later; a day begins in UTC' }),
  before: day.exactOptional().meta({ description: 'Accepted before this time or day' }),
  ...listQuery,
});

export const passageAnswer = z
  .strictObject({
    number: z.int().min(1),
    text: z.string(),
    start: count.meta({ description: "UTF-16 code units of the document's text" }),
    end: count,
    tokens: count,
    pages: z.array(z.int()).length(2).nullable().meta({ description: 'First and last; null where the format has none' }),
    headings: z.array(z.string()).meta({ description: 'Above it, outermost first' }),
    table_header: z.string().nullable().meta({ description: 'Of the table whose rows it begins with, where its own text lacks it' }),
  })
  .meta({ id: 'Passage' });
export type PassageAnswer = z.infer<typeof passageAnswer>;

export const reprocessBody = z
  .strictObject({
    from: z.enum(REPROCESS_STAGES).exactOptional().meta({ description: 'Default: the stage that it stopped at' }),
    options: processingOptions.exactOptional().meta({ description: 'In place of those before' }),
  })
  .default({});

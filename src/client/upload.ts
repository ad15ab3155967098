/**
 * A file on this machine becomes a document: small ones in one request, others in parts, several at once, tried again where the
 * line or the server fails. Killed at any moment, the same call goes on: it finds its upload among the active ones by the
 * hash of the whole file, which it computes first, and sends what is missing.
 */
import { createHash, hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AcceptedAnswer, ActiveUploadAnswer, InitiateBody, InitiatedAnswer, PartAnswer, ProcessingOptions, UploadStatusAnswer } from '../contracts/document-api.ts';
import type { Priority } from '../contracts/job.ts';
import { partSize } from '../domain/upload-parts.ts';
import { formOf } from './form.ts';
import { type Http, SheafApiError } from './http.ts';

/** Files up to so many bytes are not worth parts. */
const WHOLE = 8 * 2 ** 20;
const AT_ONCE = 4;
/** Pauses before a further try of the same request; a server that is away for longer ends the upload, which can be gone on with. */
const PAUSES_MS = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000];

export interface UploadOptions {
  /** What the server calls the file. Default: its name. */
  filename?: string | undefined;
  contentType?: string | undefined;
  documentType?: string | undefined;
  processingOptions?: ProcessingOptions | undefined;
  priority?: Priority | undefined;
  tags?: string[] | undefined;
  documentKey?: string | undefined;
  /** Makes a document also of bytes that the tenant has one of. */
  force?: boolean | undefined;
  /** Parts on their way at once, each held in memory. Default: 4. */
  concurrency?: number | undefined;
  onProgress?: ((progress: UploadProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface UploadProgress {
  /** `hashing` reads the file; `completing` waits for the server to join it. */
  phase: 'hashing' | 'uploading' | 'completing';
  /** Of this phase. */
  bytes: number;
  total: number;
  /** Bytes that had arrived before this call. */
  resumed: number;
}

/** Rejects with `SheafApiError`, with what the file system says of the file, or with the signal's reason. */
export async function uploadFile(http: Http, file: string, options: UploadOptions = {}): Promise<AcceptedAnswer> {
  const { size } = await stat(file);
  const told = (phase: UploadProgress['phase'], bytes: number, resumed = 0): void => options.onProgress?.({ phase, bytes, total: size, resumed });
  const sha256 = await hashFile(file, options.signal, (bytes) => told('hashing', bytes));
  const name = options.filename ?? path.basename(file);
  if (size <= WHOLE) {
    told('uploading', 0);
    const answer = await sendWhole(http, { name, sha256, bytes: await readFile(file) }, options);
    told('uploading', size);
    return answer;
  }
  const upload = await findOrBegin(http, { name, size, sha256 }, options, await activeUploads(http, options.signal));
  await sendMissing(http, file, upload, options, told);
  return finish(http, file, upload, options, told);
}

/**
 * As `uploadFile`, but for the last step: the bytes are there, and a batch that names the upload makes a document of them.
 * `active`: uploads that may be gone on with, asked for once for many files. Answers the upload's id.
 */
export async function stageFile(http: Http, file: string, options: UploadOptions, active: readonly ActiveUploadAnswer[]): Promise<string> {
  const { size } = await stat(file);
  const told: Told = (phase, bytes, resumed = 0) => options.onProgress?.({ phase, bytes, total: size, resumed });
  const sha256 = await hashFile(file, options.signal, (bytes) => told('hashing', bytes));
  const upload = await findOrBegin(http, { name: options.filename ?? path.basename(file), size, sha256 }, options, active);
  await sendMissing(http, file, upload, options, told);
  return upload.upload_id;
}

type Told = (phase: UploadProgress['phase'], bytes: number, resumed?: number) => void;

/** In the form and not the address, which others may write down: there may be a password among the options. */
function sendWhole(http: Http, { name, sha256, bytes }: { name: string; sha256: string; bytes: Uint8Array }, options: UploadOptions): Promise<AcceptedAnswer> {
  const { contentType, documentType, processingOptions, priority, tags, documentKey, force, signal } = options;
  const { headers, body } = formOf({
    filename: name, sha256, document_type: documentType, priority, document_key: documentKey, force: force === true ? 'true' : undefined,
    tags: tags?.join(','), processing_options: processingOptions === undefined ? undefined : JSON.stringify(processingOptions),
  }, { field: 'file', name, contentType, bytes });
  return persistently(signal, () => http.call<AcceptedAnswer>('POST', '/documents/upload/simple', { raw: body, headers, signal }));
}

/** `isNew`: no part of it can have arrived. */
type Begun = Pick<InitiatedAnswer, 'upload_id' | 'chunk_size' | 'total_parts'> & { size: number; isNew: boolean };

async function findOrBegin(
  http: Http, { name, size, sha256 }: { name: string; size: number; sha256: string }, options: UploadOptions, active: readonly ActiveUploadAnswer[],
): Promise<Begun> {
  const { contentType, documentType, processingOptions, priority, tags, documentKey, force, signal } = options;
  const wanted: InitiateBody = {
    filename: name, file_size: size, sha256,
    ...(contentType !== undefined && { content_type: contentType }),
    ...(documentType !== undefined && { document_type: documentType }),
    ...(processingOptions !== undefined && { processing_options: processingOptions }),
    ...(priority !== undefined && { priority }),
    ...(tags !== undefined && { tags }),
    ...(documentKey !== undefined && { document_key: documentKey }),
    ...(force !== undefined && { force }),
  };
  const before = active.find((upload) => sameUpload(upload, wanted));
  if (before) return { ...before, size, isNew: false };
  return { ...(await persistently(signal, () => http.call<InitiatedAnswer>('POST', '/documents/upload/initiate', { body: wanted, signal }))), size, isNew: true };
}

/** All of the caller's. */
export async function activeUploads(http: Http, signal?: AbortSignal): Promise<ActiveUploadAnswer[]> {
  const found: ActiveUploadAnswer[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page: { items: ActiveUploadAnswer[]; nextCursor: string | null } = await persistently(signal, () =>
      http.call('GET', '/documents/upload/active', { query: { limit: 200, cursor: cursor ?? undefined }, signal }));
    found.push(...page.items);
    cursor = page.nextCursor;
  }
  return found;
}

/** Of the same file, asked for in the same way. */
function sameUpload(upload: ActiveUploadAnswer, { filename, file_size, sha256, priority = 'normal', tags = [], document_key, force = false, processing_options = {} }: InitiateBody): boolean {
  const { password, ...options } = processing_options;
  return upload.filename === filename && upload.file_size === file_size && upload.sha256 === sha256 && upload.priority === priority && upload.force === force
    && (upload.document_key ?? undefined) === document_key && upload.tags.join() === tags.join()
    // What was not asked for has a default. A password that was given before is not told again, so a new one begins anew.
    && password === undefined && Object.entries(options).every(([name, value]) => upload.processing_options[name as keyof ActiveUploadAnswer['processing_options']] === value);
}

async function sendMissing(http: Http, file: string, upload: Begun, options: UploadOptions, told: Told): Promise<void> {
  const { signal, concurrency = AT_ONCE } = options;
  const status = upload.isNew ? null : await persistently(signal, () => http.call<UploadStatusAnswer>('GET', `/documents/upload/status/${upload.upload_id}`, { signal }));
  const missing = status?.missing_parts.slice() ?? Array.from({ length: upload.total_parts }, (_, index) => index + 1);
  const resumed = status?.bytes_received ?? 0;
  let bytes = resumed;
  told('uploading', bytes, resumed);
  const content = await open(file);
  const failed = new AbortController();
  const until = signal === undefined ? failed.signal : AbortSignal.any([failed.signal, signal]);
  const work = async (): Promise<void> => {
    for (let number = missing.shift(); number !== undefined; number = missing.shift()) {
      await sendPart(http, content, upload, number, until);
      bytes += sizeOf(upload, number);
      told('uploading', bytes, resumed);
    }
  };
  try {
    await Promise.all(Array.from({ length: concurrency }, () => work().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    })));
  } finally {
    await content.close();
  }
}

const sizeOf = ({ chunk_size, total_parts, size }: Begun, number: number): number => partSize({ chunkSize: chunk_size, totalParts: total_parts, request: { size } }, number);

async function sendPart(http: Http, content: FileHandle, upload: Begun, number: number, signal: AbortSignal): Promise<PartAnswer> {
  const part = Buffer.alloc(sizeOf(upload, number));
  const { bytesRead } = await content.read(part, 0, part.length, (number - 1) * upload.chunk_size);
  if (bytesRead < part.length) throw new SheafApiError({ code: 'source_changed', detail: 'The file became shorter while it was uploaded.', remedy: 'Upload it again.' }, null);
  const { headers, body } = formOf({
    upload_id: upload.upload_id, part_number: String(number), total_parts: String(upload.total_parts), chunk_hash: hash('md5', part, 'hex'),
    is_final_chunk: String(number === upload.total_parts),
  }, { field: 'chunk_file', name: 'part', bytes: part });
  // A wrong hash is a part that was damaged on its way: the next try may be better.
  return persistently(signal, () => http.call<PartAnswer>('POST', '/documents/upload/chunk', { raw: body, headers, signal }), (error) => error.code === 'checksum_mismatch');
}

/** A part that the server finds to be missing after all is sent again. */
async function finish(http: Http, file: string, upload: Begun, options: UploadOptions, told: Told): Promise<AcceptedAnswer> {
  const { signal } = options;
  for (let again = true; ; again = false) {
    told('completing', 0);
    try {
      const answer = await persistently(signal, () => http.call<AcceptedAnswer>('POST', `/documents/upload/complete/${upload.upload_id}`, { signal }));
      told('completing', upload.size);
      return answer;
    } catch (error) {
      if (!again || !(error instanceof SheafApiError) || error.missingParts === undefined) throw error;
    }
    await sendMissing(http, file, { ...upload, isNew: false }, options, told);
  }
}

async function hashFile(file: string, signal: AbortSignal | undefined, read: (bytes: number) => void): Promise<string> {
  const whole = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20, ...(signal && { signal }) })) {
    whole.update(chunk as Buffer);
    read(bytes += (chunk as Buffer).length);
  }
  return whole.digest('hex');
}

/** Tries again what may pass. */
async function persistently<Answer>(signal: AbortSignal | undefined, ask: () => Promise<Answer>, also: (error: SheafApiError) => boolean = () => false): Promise<Answer> {
  for (let tried = 0; ; tried++) {
    try {
      return await ask();
    } catch (error) {
      const pause = PAUSES_MS[tried];
      if (pause === undefined || !(error instanceof SheafApiError) || !(error.passing || also(error))) throw error;
      await sleep(pause * (0.75 + Math.random() / 2), undefined, signal === undefined ? {} : { signal });
    }
  }
}

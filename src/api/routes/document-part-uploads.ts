/** Documents that come in parts: in any order, at once, again, over any process, for a day. */
import { z } from 'zod';
import { API_PREFIX, ID_PATTERN, idempotencyHeaders, listOf, listQuery } from '../../contracts/api.ts';
import {
  acceptedAnswer, activeUploadAnswer, cancelledAnswer, chunkFields, chunkForm, initiateBody, initiatedAnswer, partAnswer, uploadStatusAnswer,
} from '../../contracts/document-api.ts';
import type { ActiveUploadAnswer } from '../../contracts/document-api.ts';
import type { UploadRecord, UploadRequest } from '../../contracts/upload.ts';
import { canonicalJson, digest } from '../../domain/hashing.ts';
import { missingParts } from '../../domain/upload-parts.ts';
import { accepted, acceptedAnswers, acceptedHeaders, acceptedOf, ACCEPTING_FAILS } from '../document-accepted.ts';
import { activeUploadOf, optionsAsked, receivedOf, typeAsked } from '../document-answer.ts';
import { endpoint, reply } from '../endpoint.ts';
import { readForm, type FormFile } from '../form.ts';
import { invalid, InvalidRequest } from '../problem.ts';
import { fileNameOf } from '../uploads.ts';

const tag = 'Document uploads';
const path = `${API_PREFIX}/documents/upload`;
const params = z.strictObject({ upload_id: z.string().regex(ID_PATTERN).meta({ description: 'As `initiate` answered' }) });

const initiate = endpoint({
  method: 'post', path: `${path}/initiate`, id: 'initiateUpload', tag,
  summary: 'Begin to upload a document in parts',
  description: 'The job is reserved; it exists from `complete` on. What nobody goes on with is given up after a day.',
  headers: idempotencyHeaders, body: initiateBody,
  answers: {
    201: { description: 'Parts can be sent', schema: initiatedAnswer, headers: { Location: "The upload's status" } },
    200: { description: 'The Idempotency-Key had begun this upload before', schema: initiatedAnswer, headers: { Location: "The upload's status" } },
  },
  fails: ['invalid_request', 'body_too_large', 'quota_exceeded', 'idempotency_conflict'],
}, async ({ tenant, owner, headers, body }, { uploads: { parts } }) => {
  const { filename, file_size, content_type, document_type, document_key, processing_options, sha256, ...rest } = body;
  const { options, password } = optionsAsked('Body', processing_options);
  const request: UploadRequest = {
    ...rest, options, fileName: fileNameOf(filename) || 'document', size: file_size, sha256: sha256 ?? null, contentType: content_type ?? null,
    declaredType: typeAsked(document_type), documentKey: document_key ?? null,
  };
  const key = headers['idempotency-key'];
  const hash = digest(canonicalJson({ ...request, options: { ...options } }));
  const { upload, created } = await parts.begin(tenant, owner, request, password, key === undefined ? undefined : { key, requestHash: hash });
  return reply(created ? 201 : 200, {
    upload_id: upload.id, job_id: upload.job, document_id: upload.document, chunk_size: upload.chunkSize, total_parts: upload.totalParts, expires_at: upload.expiresAt,
  }, { Location: `${path}/status/${upload.id}` });
});

const chunk = endpoint({
  method: 'post', path: `${path}/chunk`, id: 'uploadPart', tag,
  summary: 'Send one part',
  description: 'A part that has arrived before is accepted again when its hash is the same. A wrong hash is refused and costs nothing else.',
  form: chunkForm,
  answers: { 200: { description: 'It has arrived', schema: partAnswer } },
  fails: ['invalid_request', 'upload_not_found', 'part_conflict', 'wrong_state', 'checksum_mismatch', 'unsupported_type', 'too_slow', 'unsupported_media_type'],
}, async ({ tenant, req, signal }, { uploads: { parts } }) => {
  const { taken: { number, upload, repeated } } = await readForm(req, signal, async (file, until) => {
    const { upload_id, part_number, chunk_hash, total_parts, is_final_chunk } = fieldsOf(file);
    const upload = await parts.find(tenant, upload_id);
    if (total_parts !== undefined && total_parts !== upload.totalParts) wrongField('total_parts', `is not ${upload.totalParts}`);
    if (is_final_chunk !== undefined && is_final_chunk !== (part_number === upload.totalParts)) wrongField('is_final_chunk', `part ${upload.totalParts} is the final one`);
    return { number: part_number, ...(await parts.putPart(tenant, upload_id, { number: part_number, md5: chunk_hash }, file.content, until)) };
  }, async () => {}); // what has arrived whole, with its hash, is good whatever follows it
  return reply(200, { upload_id: upload.id, part_number: number, accepted: true, repeated, ...receivedOf(upload) });
});

function fieldsOf({ field, fields }: FormFile): z.output<typeof chunkFields> {
  if (field !== 'chunk_file') wrongField(field.slice(0, 100), 'the part is expected in chunk_file');
  const parsed = chunkFields.safeParse(Object.fromEntries(fields));
  if (parsed.success) return parsed.data;
  const { errors } = invalid('Form', chunkFields, parsed.error);
  throw new InvalidRequest('Form', errors, 'Send upload_id, part_number and chunk_hash before chunk_file; /docs describes every request.');
}

function wrongField(name: string, message: string): never {
  throw new InvalidRequest('Form', [{ path: name, message }]);
}

const complete = endpoint({
  method: 'post', path: `${path}/complete/{upload_id}`, id: 'completeUpload', tag,
  summary: 'Make a document of the parts, and start its processing',
  description: 'May be repeated when its answer was lost. A file of some gigabytes takes a while: its hash is computed.',
  params,
  answers: acceptedAnswers(acceptedAnswer),
  fails: [...ACCEPTING_FAILS, 'upload_not_found', 'parts_mismatch', 'wrong_state', 'document_not_found'],
}, async ({ tenant, params, req, res }, { uploads: { parts } }) => {
  // Nothing moves on the connection while the file is joined and hashed.
  req.socket.setTimeout(0);
  const received = accepted(res, await parts.complete(tenant, params.upload_id));
  const { status, body } = acceptedOf(received);
  return reply(status, body, acceptedHeaders(received));
});

const status = endpoint({
  method: 'get', path: `${path}/status/{upload_id}`, id: 'getUploadStatus', tag,
  summary: 'Show how far an upload in parts is',
  params,
  answers: { 200: { description: 'Which parts have arrived, and which are missing', schema: uploadStatusAnswer } },
  fails: ['upload_not_found'],
}, async ({ tenant, params }, { store, uploads: { parts } }) => {
  const upload = await parts.find(tenant, params.upload_id);
  const received = (await store.uploadParts(tenant, upload.id)).map(({ number }) => number);
  return reply(200, { ...activeUploadOf(shown(upload)), received_parts: received, missing_parts: missingParts(upload.totalParts, received) });
});

const active = endpoint({
  method: 'get', path: `${path}/active`, id: 'listActiveUploads', tag,
  summary: "List the caller's uploads in parts that are not complete, newest first",
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of uploads', schema: listOf(activeUploadAnswer) } },
  fails: ['invalid_cursor'],
}, async ({ tenant, owner, query: { cursor, limit } }, { store }) => {
  const { items, nextCursor } = await store.listUploads(tenant, { owner }, { limit, ...(cursor !== undefined && { cursor }) });
  const now = new Date().toISOString();
  return reply(200, { items: items.filter(({ expiresAt }) => expiresAt > now).map((upload) => activeUploadOf(shown(upload))), nextCursor });
});

/** A file that comes in one request is in neither list. */
const shown = (upload: UploadRecord) => upload as UploadRecord & { state: ActiveUploadAnswer['state'] };

const cancel = endpoint({
  method: 'delete', path: `${path}/cancel/{upload_id}`, id: 'cancelUpload', tag,
  summary: 'Cancel an upload in parts',
  params,
  answers: { 200: { description: 'It is gone, with its parts', schema: cancelledAnswer } },
  fails: ['upload_not_found', 'wrong_state'],
}, async ({ tenant, params }, { uploads: { parts } }) => {
  const { id } = await parts.cancel(tenant, params.upload_id);
  return reply(200, { success: true, upload_id: id, status: 'cancelled' });
});

export const documentPartUploadEndpoints = [initiate, chunk, complete, status, active, cancel];

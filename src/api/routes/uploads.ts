/** Uploads: a sheet file as the body itself, or as the one file of a form. */
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { API_PREFIX, idempotencyHeaders, idParams } from '../../contracts/api.ts';
import { uploadAnswer } from '../../contracts/sheet-api.ts';
import { endpoint, reply } from '../endpoint.ts';
import { dispositionName, readForm } from '../form.ts';
import { fileNameOf, readUpload, removeUpload, saveUpload } from '../uploads.ts';

const tag = 'Uploads';
const uploads = `${API_PREFIX}/uploads`;

const create = endpoint({
  method: 'post', path: uploads, id: 'upload', tag,
  summary: 'Upload a sheet file',
  description: 'The body is the file itself, of any content type, its name in `name` or in Content-Disposition; or a multipart form with one file.',
  query: z.strictObject({ name: z.string().min(1).max(1000).exactOptional().meta({ description: "The file's name" }) }),
  headers: idempotencyHeaders,
  rawBody: ['application/octet-stream', 'multipart/form-data'],
  answers: {
    201: { description: 'The file was stored whole', schema: uploadAnswer, headers: { Location: "The upload's address" } },
    200: { description: 'The Idempotency-Key had stored this file before', schema: uploadAnswer, headers: { Location: "The upload's address" } },
  },
  fails: ['invalid_request', 'body_too_large', 'idempotency_conflict'],
}, async ({ tenant, owner, query, headers, req, signal }, { blobs, config }) => {
  const save = (name: string, content: Readable, until: AbortSignal) => saveUpload(blobs, tenant, {
    name: fileNameOf(query.name ?? name) || 'upload', owner, content,
    maxBytes: config.SHEAF_MAX_UPLOAD_BYTES, idempotencyKey: headers['idempotency-key'],
  }, until);
  const { upload, created } = req.is('multipart/form-data')
    ? (await readForm(req, signal, (file, until) => save(file.name, file.content, until), async ({ upload, created }) => {
      if (created) await removeUpload(blobs, tenant, upload.id);
    })).taken
    : await save(dispositionName(req.get('content-disposition') ?? ''), req, signal);
  return reply(created ? 201 : 200, upload, { Location: `${uploads}/${upload.id}` });
});

const show = endpoint({
  method: 'get', path: `${uploads}/{id}`, id: 'getUpload', tag,
  summary: 'Show an upload',
  params: idParams,
  answers: { 200: { description: 'What was uploaded', schema: uploadAnswer } },
  fails: ['upload_not_found'],
}, async ({ tenant, params }, { blobs }) => reply(200, await readUpload(blobs, tenant, params.id)));

const remove = endpoint({
  method: 'delete', path: `${uploads}/{id}`, id: 'deleteUpload', tag,
  summary: 'Delete an upload',
  description: 'A job that has not read it yet fails; jobs that have keep what they read.',
  params: idParams,
  answers: { 204: { description: 'It is gone' } },
  fails: ['upload_not_found'],
}, async ({ tenant, params }, { blobs }) => {
  await readUpload(blobs, tenant, params.id);
  await removeUpload(blobs, tenant, params.id);
  return reply(204);
});

export const uploadEndpoints = [create, show, remove];

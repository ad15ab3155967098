/** Uploads: a sheet file as the body itself, or as the one file of a form. */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { Request } from 'express';
import { z } from 'zod';
import { API_PREFIX, idempotencyHeaders, idParams, uploadAnswer } from '../../contracts/api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { endpoint, reply } from '../endpoint.ts';
import { InvalidRequest } from '../problem.ts';
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
  const save: Save = (name, content, until) => saveUpload(blobs, tenant, {
    name: fileNameOf(query.name ?? name) || 'upload', owner, content,
    maxBytes: config.SHEAF_MAX_UPLOAD_BYTES, idempotencyKey: headers['idempotency-key'],
  }, until);
  const { upload, created } = req.is('multipart/form-data')
    ? await fromForm(req, signal, save, (id) => removeUpload(blobs, tenant, id))
    : await save(dispositionName(req.get('content-disposition') ?? ''), req, signal);
  return reply(created ? 201 : 200, upload, { Location: `${uploads}/${upload.id}` });
});

type Saved = Awaited<ReturnType<typeof saveUpload>>;
type Save = (name: string, content: Readable, until: AbortSignal) => Promise<Saved>;

/** The form's one file. A form that turns out to be broken, or to hold two files, leaves nothing behind. */
async function fromForm(req: Request, signal: AbortSignal, save: Save, remove: (id: string) => Promise<void>): Promise<Saved> {
  const broken = new AbortController();
  const wrong = (message: string): InvalidRequest => new InvalidRequest('Form', [{ path: '', message }], 'Send one file as multipart/form-data.');
  let saving: Promise<Saved> | undefined;
  try {
    const form = new Busboy({
      headers: { ...req.headers, 'content-type': req.headers['content-type'] ?? '' },
      limits: { files: 1, fields: 20, fieldSize: 10_000, headerPairs: 50 },
    });
    const failed = new Promise<never>((_resolve, reject) => {
      // Both streams tell of a broken form, the file's also after the form's.
      form.on('error', reject);
      form.on('file', (_field, content, name) => {
        content.on('error', reject);
        saving = save(name ?? '', content, AbortSignal.any([signal, broken.signal]));
        saving.catch(reject);
      });
      form.on('filesLimit', () => reject(wrong('there is more than one file')));
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    req.pipe(form);
    await Promise.race([once(form, 'finish'), failed]);
    if (!saving) throw wrong('there is no file');
    return await saving;
  } catch (error) {
    req.unpipe().resume();
    broken.abort();
    const saved = await saving?.catch(() => undefined);
    if (saved?.created) await remove(saved.upload.id);
    if (error instanceof SheafError || signal.aborted) throw error;
    throw wrong('it is not a whole multipart form');
  }
}

/** RFC 6266: `filename*` before `filename`; empty where there is neither. */
function dispositionName(header: string): string {
  const encoded = /filename\*\s*=\s*utf-8''([^;\s]+)/i.exec(header)?.[1];
  if (encoded !== undefined) {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return ''; // a name is only a hint
    }
  }
  const plain = /filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(header);
  return plain?.[1]?.replaceAll(/\\(.)/g, '$1') ?? plain?.[2] ?? '';
}

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

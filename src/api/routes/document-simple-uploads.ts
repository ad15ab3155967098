/** Documents that come in one request: as the body itself, or as the one file of a form. */
import { API_PREFIX, idempotencyHeaders } from '../../contracts/api.ts';
import { acceptedAnswer, simpleFields, simpleForm, uploadedAnswer } from '../../contracts/document-api.ts';
import type { UploadRequest } from '../../contracts/upload.ts';
import { canonicalJson, digest } from '../../domain/hashing.ts';
import type { Arrived, Received } from '../../uploads/uploads.ts';
import type { ApiContext } from '../context.ts';
import { optionsAsked, typeAsked } from '../document-answer.ts';
import { endpoint, reply, type Call } from '../endpoint.ts';
import { dispositionName, readForm, type FormFile } from '../form.ts';
import { invalid, InvalidRequest } from '../problem.ts';
import { accepted, acceptedAnswers, acceptedHeaders, acceptedOf, ACCEPTING_FAILS } from '../document-accepted.ts';
import { fileNameOf } from '../uploads.ts';

/** What a form has around its file, at most. */
const AROUND = 2 ** 20;

type SimpleCall = Pick<Call<unknown, unknown, { 'idempotency-key'?: string }, unknown>, 'tenant' | 'owner' | 'headers' | 'req' | 'res' | 'signal'>;

/** Stores the file of the request and makes a document of it. */
async function receive({ tenant, owner, headers, req, res, signal }: SimpleCall, { uploads: { whole } }: ApiContext, maxBytes: number): Promise<Received> {
  const isForm = Boolean(req.is('multipart/form-data'));
  const query = req.query as Record<string, string>; // as its schema has found it to be
  const length = Number(req.headers['content-length'] ?? 0);
  const take = ({ name, content }: Pick<FormFile, 'name' | 'content'>, until: AbortSignal): Promise<Arrived> =>
    whole.receive(tenant, owner, { name: nameOf(query['filename'] ?? name), content, maxBytes, atLeast: isForm ? length - AROUND : length }, until);
  const finish = async (arrived: Arrived, where: string, fields: Record<string, string>, file: Pick<FormFile, 'name' | 'contentType'>): Promise<Received> => {
    try {
      const { request, password } = asked(where, fields, file, arrived.size);
      const key = headers['idempotency-key'];
      return accepted(res, await whole.finish(arrived, request, password, key === undefined ? undefined : { key, requestHash: hashOf(request) }));
    } catch (error) {
      if (error instanceof InvalidRequest) await whole.discard(arrived);
      throw error;
    }
  };
  if (!isForm) {
    const file = { name: dispositionName(req.get('content-disposition') ?? ''), contentType: req.get('content-type') ?? '', content: req };
    return finish(await take(file, signal), 'Query', query, file);
  }
  const { taken, fields } = await readForm(req, signal, async (file, until) => {
    const name = file.fields.get('filename') ?? file.name;
    return { file: { ...file, name }, arrived: await take({ ...file, name }, until) };
  }, ({ arrived }) => whole.discard(arrived));
  return finish(taken.arrived, 'Form', { ...query, ...Object.fromEntries(fields) }, taken.file);
}

const nameOf = (given: string): string => fileNameOf(given) || 'document';

function asked(where: string, given: Record<string, string>, file: Pick<FormFile, 'name' | 'contentType'>, size: number): { request: UploadRequest; password: string | null } {
  const parsed = simpleFields.safeParse(given);
  if (!parsed.success) throw invalid(where, simpleFields, parsed.error);
  const { filename, document_type, document_key, processing_options, sha256, ...rest } = parsed.data;
  const { options, password } = optionsAsked(where, processing_options);
  return {
    password,
    request: {
      ...rest, options, size, fileName: nameOf(filename ?? file.name), sha256: sha256 ?? null, contentType: file.contentType || null,
      declaredType: typeAsked(document_type), documentKey: document_key ?? null,
    },
  };
}

const hashOf = (request: UploadRequest): string => digest(canonicalJson({ ...request, options: { ...request.options } }));

const simple = endpoint({
  method: 'post', path: `${API_PREFIX}/documents/upload/simple`, id: 'uploadDocument', tag: 'Document uploads',
  summary: 'Upload a document',
  description: 'The body is the file itself, its name in `filename` or in Content-Disposition; or a multipart form with one file. Larger files come in parts.',
  query: simpleFields, headers: idempotencyHeaders, rawBody: ['application/octet-stream'], form: simpleForm,
  answers: acceptedAnswers(acceptedAnswer), fails: ACCEPTING_FAILS,
}, async (call, deps) => {
  const received = await receive(call, deps, Math.min(deps.config.SHEAF_SIMPLE_UPLOAD_BYTES, deps.config.SHEAF_MAX_UPLOAD_BYTES));
  const { status, body } = acceptedOf(received);
  return reply(status, body, acceptedHeaders(received));
});

const short = endpoint({
  method: 'post', path: '/api/documents/upload', id: 'uploadDocumentAtOnce', tag: 'Document uploads',
  summary: 'Upload a document of any size in one request',
  description: 'As `upload/simple`, with a shorter answer and no threshold: a connection that breaks has to begin again.',
  query: simpleFields, headers: idempotencyHeaders, rawBody: ['application/octet-stream'], form: simpleForm,
  answers: acceptedAnswers(uploadedAnswer), fails: ACCEPTING_FAILS,
}, async (call, deps) => {
  const received = await receive(call, deps, deps.config.SHEAF_MAX_UPLOAD_BYTES);
  const { status, body: { job_id: _, ...body } } = acceptedOf(received);
  return reply(status, body, acceptedHeaders(received));
});

export const documentSimpleUploadEndpoints = [simple, short];

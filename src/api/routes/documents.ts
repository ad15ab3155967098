/** Documents: listed, shown, read, done again, deleted. */
import { z } from 'zod';
import { API_PREFIX, idParams, listOf, listQuery } from '../../contracts/api.ts';
import { documentAnswer, documentQuery, documentStatusAnswer, passageAnswer, reprocessBody } from '../../contracts/document-api.ts';
import { processingMetricsAnswer } from '../../contracts/documents-bulk-api.ts';
import type { DocumentStatusAnswer, PassageAnswer } from '../../contracts/document-api.ts';
import type { DocumentFilter, DocumentRecord } from '../../contracts/document.ts';
import { SheafError } from '../../contracts/errors.ts';
import { ENDED_STATES, JOB_STATES, type JobState } from '../../contracts/job.ts';
import { listed, numberCursor, readCursor } from '../../store/cursor.ts';
import type { Store } from '../../store/store.ts';
import { documentAnswerOf, documentStatusOf, optionsAsked } from '../document-answer.ts';
import { documentText, encodedDocument, passageLines, passagesOf } from '../document-files.ts';
import { processingMetrics } from '../document-metrics.ts';
import { endpoint, reply } from '../endpoint.ts';
import { fileHeaders, send } from '../send.ts';

const tag = 'Documents';
const documents = `${API_PREFIX}/documents`;

async function documentOf(store: Store, tenant: string, id: string): Promise<DocumentRecord> {
  const document = await store.getDocument(tenant, id);
  if (!document) throw new SheafError('document_not_found', `There is no document ${id}.`, { remedy: `GET ${documents} lists those that there are.` });
  return document;
}

/** At the address of this API's version, and at that which older clients know. */
const BOTH = [{ path: documents, id: (name: string) => name }, { path: '/api/documents', id: (name: string) => `${name}Unversioned` }];

const status = BOTH.map(({ path, id }) => endpoint({
  method: 'get', path: `${path}/{id}/status`, id: id('getDocumentStatus'), tag,
  summary: 'Show how far a document is',
  description: 'For whoever waits: it reads one record.',
  params: idParams,
  answers: { 200: { description: 'Its status', schema: documentStatusAnswer } },
  fails: ['document_not_found'],
}, async ({ tenant, params }, { store }) => reply(200, documentStatusOf(await documentOf(store, tenant, params.id)))));

const show = BOTH.map(({ path, id }) => endpoint({
  method: 'get', path: `${path}/{id}`, id: id('getDocument'), tag,
  summary: 'Show a document',
  params: idParams,
  answers: { 200: { description: 'The document', schema: documentAnswer } },
  fails: ['document_not_found'],
}, async ({ tenant, params }, { store }) => reply(200, documentAnswerOf(await documentOf(store, tenant, params.id)))));

const STATES: Record<DocumentStatusAnswer['status'], JobState[]> = {
  processing: JOB_STATES.filter((state) => !(ENDED_STATES as readonly JobState[]).includes(state)), ready: ['completed'], failed: ['failed', 'cancelled'],
};

const list = endpoint({
  method: 'get', path: documents, id: 'listDocuments', tag,
  summary: 'List documents, newest first',
  query: documentQuery,
  answers: { 200: { description: 'A page of documents', schema: listOf(documentAnswer) } },
  fails: ['invalid_cursor'],
}, async ({ tenant, query: { status: wanted, state, document_key, since, before, cursor, limit, ...same } }, { store }) => {
  const states = wanted === undefined ? state : STATES[wanted].filter((one) => state === undefined || state.includes(one));
  const filter: DocumentFilter = {
    ...same,
    ...(states !== undefined && { state: states }),
    ...(document_key !== undefined && { documentKey: document_key }),
    ...(since !== undefined && { since: new Date(since).toISOString() }),
    ...(before !== undefined && { before: new Date(before).toISOString() }),
  };
  const { items, nextCursor } = await store.listDocuments(tenant, filter, { limit, ...(cursor !== undefined && { cursor }) });
  return reply(200, { items: items.map(documentAnswerOf), nextCursor });
});

const metrics = endpoint({
  method: 'get', path: `${documents}/processing/metrics`, id: 'getProcessingMetrics', tag,
  summary: "Show how the last day's documents fare",
  answers: { 200: { description: 'Rates, times by stage and type, the queue', schema: processingMetricsAnswer } },
}, async ({ tenant }, { store }) => reply(200, await processingMetrics(store, tenant, Date.now())));

const text = endpoint({
  method: 'get', path: `${documents}/{id}/text`, id: 'getDocumentText', tag,
  summary: "Read a document's text",
  description: 'The text that the offsets of passages count in, in UTF-8.',
  params: idParams,
  answers: { 200: { description: 'The text', content: ['text/plain'] } },
  fails: ['document_not_found', 'not_ready', 'malware_found'],
}, async ({ tenant, params, res, signal }, { store, blobs }) => {
  const document = await documentOf(store, tenant, params.id);
  await send(res, fileHeaders('text/plain; charset=utf-8', `${document.fileName}.txt`), documentText(blobs, document), signal);
  return 'sent';
});

const FORMATS = { json: ['application/json', encodedDocument], ndjson: ['application/x-ndjson', passageLines] } as const;

const chunks = endpoint({
  method: 'get', path: `${documents}/{id}/chunks`, id: 'getDocumentChunks', tag,
  summary: "Read a document's passages",
  description: 'A page of them; or with `format` all, as a file: `json` has the document, its metadata and how it was cut beside them, `ndjson` one a line.',
  params: idParams,
  query: z.strictObject({ format: z.enum(['json', 'ndjson']).exactOptional(), ...listQuery }),
  answers: { 200: { description: 'The passages', schema: listOf(passageAnswer), content: ['application/x-ndjson'] } },
  fails: ['document_not_found', 'not_ready', 'malware_found', 'invalid_cursor'],
}, async ({ tenant, params, query: { format, cursor, limit }, res, signal }, { store, blobs }) => {
  const document = await documentOf(store, tenant, params.id);
  if (format !== undefined) {
    const [type, contentOf] = FORMATS[format];
    await send(res, fileHeaders(type, `${document.fileName}.chunks.${format}`), contentOf(blobs, document), signal);
    return 'sent';
  }
  const [after] = readCursor(cursor, numberCursor) ?? [0];
  const found: PassageAnswer[] = [];
  for await (const passage of passagesOf(blobs, document, after)) if (found.push(passage) > limit) break;
  return reply(200, listed(found, limit, ({ number }) => [number]));
});

const reprocess = endpoint({
  method: 'post', path: `${documents}/{id}/reprocess`, id: 'reprocessDocument', tag,
  summary: 'Do an ended document again, from a stage on',
  description: 'Without uploading it again, and without what comes before that stage.',
  params: idParams, body: reprocessBody,
  answers: { 202: { description: 'Queued as a new attempt of its job', schema: documentAnswer } },
  fails: ['document_not_found', 'wrong_state', 'malware_found'],
}, async ({ tenant, params, body }, deps) => {
  const { options, password } = body.options === undefined ? { options: null, password: null } : optionsAsked('Body', body.options);
  return reply(202, documentAnswerOf(await deps.documents.reprocess(tenant, params.id, { from: body.from ?? null, options, password })));
});

const remove = endpoint({
  method: 'delete', path: `${documents}/{id}`, id: 'deleteDocument', tag,
  summary: 'Delete a document',
  description: 'Ends its job, then removes its passages, files and records. The document answers until it is gone.',
  params: idParams,
  answers: { 202: { description: 'It will be gone soon', schema: documentAnswer } },
  fails: ['document_not_found'],
}, async ({ tenant, params }, deps) => reply(202, documentAnswerOf(await deps.documents.remove(tenant, params.id))));

export const documentEndpoints = [list, metrics, ...show, ...status, text, chunks, reprocess, remove];

/** Documents as clients of the API send them. */
import { createHash } from 'node:crypto';
import type { AcceptedAnswer, InitiatedAnswer, PartAnswer } from '../../src/contracts/document-api.ts';
import type { Api, Asked } from './api.ts';

export const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Text that no other call gives, so that no two are duplicates. */
let made = 0;
export function textOf(size: number): Buffer {
  made += 1;
  return Buffer.from(`Document ${made} of ${process.pid}. `.padEnd(size, `the quick brown fox ${made} `)).subarray(0, size);
}

export const initiate = async (api: Api, size: number, more: object = {}, headers: Record<string, string> = {}): Promise<InitiatedAnswer> =>
  (await api.call<InitiatedAnswer>('POST', '/documents/upload/initiate', { body: { filename: 'book.txt', file_size: size, ...more }, headers })).body;

export function partForm(upload: Pick<InitiatedAnswer, 'upload_id' | 'total_parts'>, number: number, bytes: Uint8Array, over: Record<string, string> = {}): FormData {
  const fields = {
    upload_id: upload.upload_id, part_number: String(number), total_parts: String(upload.total_parts), chunk_hash: md5(bytes),
    is_final_chunk: String(number === upload.total_parts), ...over,
  };
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append('chunk_file', new Blob([bytes as Uint8Array<ArrayBuffer>]), 'blob');
  return form;
}

export const partOf = (upload: Pick<InitiatedAnswer, 'chunk_size'>, content: Buffer, number: number): Buffer =>
  content.subarray((number - 1) * upload.chunk_size, number * upload.chunk_size);

export const sendPart = async (api: Api, upload: InitiatedAnswer, number: number, bytes: Uint8Array, headers: Record<string, string> = {}): Promise<PartAnswer> =>
  (await api.call<PartAnswer>('POST', '/documents/upload/chunk', { raw: partForm(upload, number, bytes), headers })).body;

export const complete = (api: Api, upload: Pick<InitiatedAnswer, 'upload_id'>, headers: Record<string, string> = {}) =>
  api.call<AcceptedAnswer>('POST', `/documents/upload/complete/${upload.upload_id}`, { headers });

export const simple = (api: Api, content: Uint8Array | string, query = '', headers: Record<string, string> = {}) =>
  api.call<AcceptedAnswer>('POST', `/documents/upload/simple${query}`, { raw: content as string, headers });

export const fileForm = (content: Uint8Array | string, name: string, fields: Record<string, string> = {}): FormData => {
  const form = new FormData();
  form.append('file', new Blob([content as Uint8Array<ArrayBuffer>]), name);
  for (const [field, value] of Object.entries(fields)) form.append(field, value);
  return form;
};

/** Everything that the blob store holds of a tenant, objects and parts. */
export async function blobsOf({ blobs }: Api, tenant: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of blobs.list(`${tenant}/`)) found.push(key);
  for await (const { key } of blobs.parts.begunBefore(new Date(Date.now() + 3_600_000))) if (key.startsWith(`${tenant}/`)) found.push(`parts of ${key}`);
  return found;
}

export const as = (tenant: string): { headers: Record<string, string> } & Asked => ({ headers: { 'x-sheaf-tenant': tenant } });

/** Documents that arrive in parts. */
import type { UploadPart, UploadPatch, UploadRecord, UploadState } from '../../contracts/upload.ts';
import type { Listed, ListPage } from './lists.ts';

export interface UploadStore {
  /** Where there is one with this id, answers it as it is. */
  createUpload(upload: UploadRecord): Promise<{ upload: UploadRecord; created: boolean }>;
  getUpload(tenant: string, id: string): Promise<UploadRecord | null>;
  /** Those that take parts or are being completed, newest first. Rejects with `invalid_cursor`. */
  listUploads(tenant: string, filter: { owner?: string }, page: ListPage): Promise<Listed<UploadRecord>>;
  /** Bytes that the tenant's uploads which take parts or are being completed have announced. */
  uploadUsage(tenant: string): Promise<number>;
  /** Null, and nothing is written, where it is in none of the states or not there. */
  changeUpload(tenant: string, id: string, from: readonly UploadState[], patch: UploadPatch): Promise<UploadRecord | null>;
  /** Writes the part down, with the upload's counts, unless it has one of this number: then answers that one. Null: it takes no parts. */
  addUploadPart(tenant: string, id: string, part: UploadPart): Promise<{ part: UploadPart; upload: UploadRecord } | null>;
  getUploadPart(tenant: string, id: string, number: number): Promise<UploadPart | null>;
  /** Ascending by number. */
  uploadParts(tenant: string, id: string): Promise<UploadPart[]>;
  /** Forgets exactly these, so that they may be sent again; one that has been replaced since stays. */
  dropUploadParts(tenant: string, id: string, parts: readonly UploadPart[]): Promise<void>;
  /** Of every tenant, in any state, that expire before that time (ISO 8601). */
  expiredUploads(before: string, page: ListPage): Promise<Listed<UploadRecord>>;
  /** The record and its parts. Not there is no error. */
  removeUpload(tenant: string, id: string): Promise<void>;
}

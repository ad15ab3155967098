/** Uploads in parts: a document each, with its parts, so that both always agree; changed by compare-and-set. */
import type { estypes } from '@elastic/elasticsearch';
import type { UploadPart, UploadRecord } from '../../contracts/upload.ts';
import { jobCursor, listed, readCursor } from '../cursor.ts';
import type { UploadStore } from '../ports/uploads.ts';
import type { Cluster } from './connection.ts';
import { type Decision, documentId, Documents } from './documents.ts';

export interface UploadSource {
  tenant: string;
  id: string;
  owner: string;
  /** Takes parts, or is being completed. */
  active: boolean;
  /** Bytes as announced. */
  size: number;
  createdAt: string;
  expiresAt: string;
  /** JSON of the record. */
  record: string;
  /** JSON of the parts. */
  parts: string;
}

const MAX_LISTED = 1_000;

const uploadId = (tenant: string, id: string): string => documentId(tenant, id);
const recordOf = ({ record }: UploadSource): UploadRecord => JSON.parse(record) as UploadRecord;
const partsOf = ({ parts }: UploadSource): UploadPart[] => JSON.parse(parts) as UploadPart[];

function sourceOf(upload: UploadRecord, parts: UploadPart[]): UploadSource {
  const record = { ...upload, parts: parts.length, bytes: parts.reduce((sum, { size }) => sum + size, 0) };
  return {
    tenant: upload.tenant, id: upload.id, owner: upload.owner, active: upload.state === 'open' || upload.state === 'completing',
    size: upload.request.size, createdAt: upload.createdAt, expiresAt: upload.expiresAt, record: JSON.stringify(record), parts: JSON.stringify(parts),
  };
}

export function uploadMethods(cluster: Cluster): UploadStore {
  const uploads = new Documents<UploadSource>(cluster, 'uploads');

  const list = async (tenant: string | null, filter: estypes.QueryDslQueryContainer[], sort: estypes.SortCombinations[], after: readonly string[] | null, limit: number): Promise<UploadRecord[]> => {
    const { hits } = await cluster.search<UploadSource>('uploads', tenant, {
      query: { bool: { filter } }, sort, size: limit + 1, _source: ['record'], track_total_hits: false, ...(after !== null && { search_after: [...after] }),
    });
    return hits.hits.flatMap(({ _source }) => (_source ? [recordOf(_source)] : []));
  };

  const getParts = async (tenant: string, id: string): Promise<UploadPart[]> => {
    const found = await uploads.read(tenant, uploadId(tenant, id));
    return found === null ? [] : partsOf(found);
  };

  return {
    createUpload: async (upload) => {
      for (;;) {
        if (await uploads.create(uploadId(upload.tenant, upload.id), sourceOf(upload, []))) return { upload, created: true };
        const found = await uploads.read(upload.tenant, uploadId(upload.tenant, upload.id));
        // Null: removed in between.
        if (found !== null) return { upload: recordOf(found), created: false };
      }
    },

    getUpload: async (tenant, id) => {
      const found = await uploads.read(tenant, uploadId(tenant, id));
      return found === null ? null : recordOf(found);
    },

    listUploads: async (tenant, { owner }, page) => {
      const after = readCursor(page.cursor, jobCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const terms: estypes.QueryDslQueryContainer[] = [{ term: { tenant } }, { term: { active: true } }];
      if (owner !== undefined) terms.push({ term: { owner } });
      return listed(await list(tenant, terms, [{ createdAt: 'desc' }, { id: 'desc' }], after, limit), limit, (upload) => [upload.createdAt, upload.id]);
    },

    uploadUsage: async (tenant) => {
      const { aggregations } = await cluster.search('uploads', tenant, {
        query: { bool: { filter: [{ term: { tenant } }, { term: { active: true } }] } }, size: 0, track_total_hits: false,
        aggregations: { bytes: { sum: { field: 'size' } } },
      });
      return (aggregations?.['bytes'] as estypes.AggregationsSumAggregate | undefined)?.value ?? 0;
    },

    changeUpload: (tenant, id, from, patch) => uploads.change(tenant, uploadId(tenant, id), (found): Decision<UploadSource, UploadRecord | null> => {
      const upload = found && recordOf(found);
      if (found === null || upload === null || !from.includes(upload.state)) return { answer: null };
      const changed = { ...upload, ...patch };
      return { write: sourceOf(changed, partsOf(found)), answer: changed };
    }),

    addUploadPart: (tenant, id, part) => uploads.change(tenant, uploadId(tenant, id), (found): Decision<UploadSource, Awaited<ReturnType<UploadStore['addUploadPart']>>> => {
      const upload = found && recordOf(found);
      if (found === null || upload?.state !== 'open') return { answer: null };
      const parts = partsOf(found);
      const before = parts.find(({ number }) => number === part.number);
      if (before !== undefined) return { answer: { part: before, upload } };
      const write = sourceOf(upload, [...parts, part].sort((left, right) => left.number - right.number));
      return { write, answer: { part, upload: recordOf(write) } };
    }),

    getUploadPart: async (tenant, id, number) => (await getParts(tenant, id)).find((part) => part.number === number) ?? null,

    uploadParts: getParts,

    dropUploadParts: (tenant, id, parts) => uploads.change(tenant, uploadId(tenant, id), (found): Decision<UploadSource, undefined> => {
      if (found === null) return { answer: undefined };
      const wrong = new Set(parts.map(keyOf));
      const left = partsOf(found).filter((part) => !wrong.has(keyOf(part)));
      return { write: sourceOf(recordOf(found), left), answer: undefined };
    }),

    expiredUploads: async (before, page) => {
      const after = readCursor(page.cursor, jobCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const found = await list(null, [{ range: { expiresAt: { lt: before } } }], [{ tenant: 'asc' }, { id: 'asc' }], after, limit);
      return listed(found, limit, (upload) => [upload.tenant, upload.id]);
    },

    removeUpload: (tenant, id) => uploads.change(tenant, uploadId(tenant, id), () => ({ write: null, answer: undefined })),
  };
}

const keyOf = ({ number, md5, checksum }: UploadPart): string => `${number} ${md5} ${checksum}`;

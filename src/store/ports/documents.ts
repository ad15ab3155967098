/** Documents and their passages. */
import type { DocumentFilter, DocumentPatch, DocumentRecord, DocumentWriter, Passage } from '../../contracts/document.ts';
import type { Listed, ListPage } from './lists.ts';

/** The passages that one try at indexing a version of a document writes: all of them become visible at once, or none. */
export interface PassageSet {
  tenant: string;
  documentKey: string;
  document: string;
  version: number;
  /** The lane's at the job's admission; a new one for every try. */
  generation: number;
}

export interface PassagesWrite {
  set: PassageSet;
  job: string;
  tags: string[];
  fileName: string;
  title: string | null;
  /** `text` is normalised by `domain/search-text.ts`. */
  passages: (Passage & { words: string })[];
}

export interface StoredPassages {
  documentKey: string;
  document: string;
  generation: number;
  passages: number;
  published: boolean;
}

export interface DocumentUsage {
  documents: number;
  bytes: number;
}

export interface DocumentStore {
  /** Writes the record with the next version of its key; where there is one with this id, answers it as it is. */
  createDocument(document: DocumentRecord): Promise<{ document: DocumentRecord; created: boolean }>;
  getDocument(tenant: string, id: string): Promise<DocumentRecord | null>;
  /** Newest first. Rejects with `invalid_cursor`. */
  listDocuments(tenant: string, filter: DocumentFilter, page: ListPage): Promise<Listed<DocumentRecord>>;
  /** Writes where the writer's mark is not below the record's (`domain/document-record.ts`). False when it is, or there is no record. */
  advanceDocument(tenant: string, id: string, by: DocumentWriter, patch: DocumentPatch): Promise<boolean>;
  /** Ready documents that share one of the bands, newest first, at most `limit`. */
  findSimilar(tenant: string, bands: string[], limit: number): Promise<Pick<DocumentRecord, 'id' | 'similarity' | 'documentKey'>[]>;
  /** Of the tenant's documents, failed ones too. */
  documentUsage(tenant: string): Promise<DocumentUsage>;
  /** Removes passages of every generation, and then the record, in bounded steps; false while there is more to do. */
  removeDocument(tenant: string, id: string): Promise<boolean>;

  /** In bulk, by number. Nobody sees them before `publishPassages`. Rejects with `store_refused` where one is never taken. */
  writePassages(write: PassagesWrite): Promise<void>;
  /** From now on search finds this set's passages, and none other of the document's key, in one step. False, and nothing changes,
   *  where a newer version or generation is published. */
  publishPassages(set: PassageSet): Promise<boolean>;
  /** Of the document's published set, ascending by number; empty where it has none. Rejects with `invalid_cursor`. */
  listPassages(tenant: string, document: string, page: ListPage): Promise<Listed<Passage>>;
  /** Removes the passages of the key's sets that are neither published nor `keep`, in bounded steps; false while there is more to do. */
  removeStalePassages(tenant: string, documentKey: string, keep: PassageSet | null): Promise<boolean>;
  /** What passages there are, published or not: for whoever checks that records and passages agree. At most 10,000 sets. */
  listPassageSets(tenant: string): Promise<StoredPassages[]>;
}

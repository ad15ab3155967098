/** What does not agree, and what was done about it. */
import type { Blobs } from '../blobs/blobs.ts';
import type { Store } from '../store/store.ts';
import type { Documents } from '../temporal/documents.ts';

export const FINDINGS = {
  orphaned_blob: 'A stored object that no record names',
  missing_blob: 'A record names an object that is not there',
  orphaned_passages: 'Passages that no document shows',
  missing_passages: 'A document shows other passages than it has',
  orphaned_document: 'A document whose job is gone',
  wrong_counts: "A job's counts do not add up",
} as const;
export type FindingKind = keyof typeof FINDINGS;

export interface Finding {
  kind: FindingKind;
  tenant: string;
  /** Id of the job or document. */
  of: string;
  /** One sentence. */
  message: string;
  /** Blob key, where it is about one. */
  key?: string;
  /** `found`: nothing was done; `repaired`; `unrepairable`: only a person can. */
  outcome: 'found' | 'repaired' | 'unrepairable';
}

export interface Parts {
  store: Store;
  blobs: Blobs;
  documents: Documents;
}

/** What there is to do about a finding; null: nothing that can be done without a person. */
export type Repair = (() => Promise<unknown>) | null;

export interface Suspicion extends Omit<Finding, 'outcome'> {
  /** Looks once more: work that goes on meanwhile makes things look wrong for a moment. */
  stillSo(): Promise<boolean>;
  repair: Repair;
}

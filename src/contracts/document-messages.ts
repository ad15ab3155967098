/** What passes through Temporal about documents: of one's job, beside what every kind of job has (`messages.ts`), and of actions on many. */
import type { DocumentFilter, Reprocess } from './document.ts';
import type { EndedState } from './job.ts';
import type { JobInput, JobLifeState, JobRef } from './messages.ts';
import type { JobStatus } from './sheet-messages.ts';

export type DocumentJobInput = JobInput & { carried?: DocumentJobState };

export interface DocumentJobState extends JobLifeState {
  /** All stages are done; only the end is left to write. */
  done: boolean;
}

/** The answer to the `status` Query of a document's job. How far its stages are is in the document's record. */
export type DocumentJobStatus = Pick<JobStatus, 'state' | 'cause' | 'until' | 'reason' | 'attempt' | 'priority'> & { done: boolean };

export interface DocumentJobResult {
  state: EndedState;
}

export interface ProcessDocumentInput extends JobRef {
  attempt: number;
  /** The lane's; names the passages that the attempt writes. */
  generation: number;
  /** Grows with every dispatch in the attempt. */
  dispatch: number;
}

export interface ProcessDocumentAnswer {
  /** Every stage is done; else it was interrupted between two. */
  done: boolean;
}

export interface DocumentActivities {
  /** Takes the document through the stages that have no result yet, one after the other. */
  processDocument(input: ProcessDocumentInput): Promise<ProcessDocumentAnswer>;
}

/** What is done to all documents of a tenant that a filter finds. */
export interface BulkInput {
  tenant: string;
  /** `since` and `before` are fixed when it is asked for, so that documents that come later are not among them. */
  filter: DocumentFilter;
  /** Only counts. */
  dryRun: boolean;
  /** Null: they are deleted. */
  reprocess: Reprocess | null;
  /** Only in the input of a run that continues another. */
  carried?: { cursor: string | null; report: BulkReport };
}

export interface BulkReport {
  /** Documents looked at, and those that the action was taken for (or would be). */
  found: number;
  taken: number;
  /** Of the taken ones' files. */
  bytes: number;
  /** Taken for none, by the error's code. */
  refused: { [code: string]: number };
  /** Ids of the first of the taken ones. */
  documents: string[];
  done: boolean;
}

export interface BulkPageInput {
  tenant: string;
  filter: DocumentFilter;
  dryRun: boolean;
  reprocess: Reprocess | null;
  cursor: string | null;
}

export interface BulkPageAnswer {
  report: Omit<BulkReport, 'done'>;
  /** Null: that was the last page. */
  cursor: string | null;
}

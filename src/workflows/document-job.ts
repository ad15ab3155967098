/**
 * One attempt of a document's job: admitted, the document taken through its stages by an activity, the end written down.
 * Which stages are done is in the document's record, so that an activity that runs again goes on where the last one stopped.
 * What it shares with other kinds of job is in `job-life.ts`.
 */
import { continueAsNew, defineQuery, setHandler } from '@temporalio/workflow';
import type { ErrorBody } from '../contracts/errors.ts';
import type { EndedState } from '../contracts/job.ts';
import { STATUS_QUERY, TASK_QUEUES } from '../contracts/messages.ts';
import type { DocumentActivities, DocumentJobInput, DocumentJobResult, DocumentJobStatus } from '../contracts/document-messages.ts';
import { CAPACITY_WAIT_MS, DOCUMENT } from './activity-options.ts';
import { historyIsFull } from './history.ts';
import { JobLife } from './job-life.ts';
import { live } from './job-messages.ts';

export const documentStatusQuery = defineQuery<DocumentJobStatus>(STATUS_QUERY);

export async function documentJob(input: DocumentJobInput): Promise<DocumentJobResult> {
  const job = new DocumentJob(input);
  setHandler(documentStatusQuery, () => job.status());
  return live(job, () => job.run());
}

class DocumentJob extends JobLife {
  #done: boolean;
  readonly #input: DocumentJobInput;

  constructor(input: DocumentJobInput) {
    super(input, input.carried);
    this.#input = input;
    this.#done = input.carried?.done ?? false;
  }

  async run(): Promise<DocumentJobResult> {
    for (;;) {
      // Also after a pause or cancel that came too late: it can be found, and the record says so.
      if (this.#done) return this.#end('completed', null);
      if (this.wanted === 'cancelled') return this.#end('cancelled', null);
      if (this.wanted === 'paused') {
        await this.pause();
      } else if (this.error) {
        return this.#end('failed', this.error);
      } else if (this.refused) {
        await this.waitForCapacity(this.refused);
      } else if (!this.placed) {
        await this.admit();
      } else {
        await this.enter('running');
        if (historyIsFull()) await this.continueAsNew();
        else if (this.wanted === 'running') await this.#process();
      }
    }
  }

  async #process(): Promise<void> {
    await this.interruptible(async () => {
      const documents = this.activities<DocumentActivities>({ ...DOCUMENT, summary: 'from validation to search' }, TASK_QUEUES.documents);
      const { done } = await documents.processDocument({ ...this.ref(), generation: this.generation, dispatch: ++this.sequence });
      this.#done = done;
      this.capacityWaitMs = CAPACITY_WAIT_MS.first;
    });
  }

  async #end(state: EndedState, error: ErrorBody | null): Promise<DocumentJobResult> {
    await this.finish(state, error);
    return { state };
  }

  protected continued(): Promise<never> {
    return continueAsNew<typeof documentJob>({
      ...this.#input, priority: this.priority, carried: { ...this.carried(), done: this.#done },
    });
  }

  status(): DocumentJobStatus {
    return {
      state: this.state, cause: this.cause, until: this.until, reason: this.reason,
      attempt: this.#input.attempt, priority: this.priority, done: this.#done,
    };
  }
}

/** Figures over summaries of jobs, in a thread: a hundred thousand take a while. */
import type { Analytics, AnalyticsFilter } from '../../contracts/summary.ts';
import type { Store } from '../store.ts';
import { ReadingThread } from './reading-thread.ts';

export interface AnalysisAsked {
  tenant: string | null;
  filter: AnalyticsFilter;
}

export class Analyst {
  readonly #thread: ReadingThread<AnalysisAsked, Analytics>;

  constructor(file: string) {
    this.#thread = new ReadingThread(new URL('./analyst-thread.ts', import.meta.url), file);
  }

  readonly analyse: Store['analyse'] = (tenant, filter) => this.#thread.ask({ tenant, filter });

  close(): Promise<void> {
    return this.#thread.close();
  }
}

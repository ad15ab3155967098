import type { CollectAnswersAnswer, PageSpan } from '../contracts/sheet-messages.ts';
import { holdsPage, returnPage, withoutPage } from '../domain/paging.ts';
import { LOOK_FOR_ANSWERS_MS, TAKE_ANSWERS_EVERY_MS } from './activity-options.ts';

/** The pages of a job whose rows only wait for services, and when to look at them again. */
export class Answers {
  parked: PageSpan[] = [];
  /** Somebody said so since they were last looked at. */
  came = false;
  /** Rows that wait, when they were last looked at. */
  submitted = 0;
  lookMs: number = LOOK_FOR_ANSWERS_MS;
  #lookedAt = 0;

  park(page: number): void {
    this.parked = returnPage(this.parked, page);
  }

  /** While other pages run. */
  due(now: number): boolean {
    return this.parked.length > 0 && now - this.#lookedAt >= (this.came ? TAKE_ANSWERS_EVERY_MS : Math.max(this.lookMs, TAKE_ANSWERS_EVERY_MS));
  }

  begin(now: number): void {
    this.came = false;
    this.#lookedAt = now;
  }

  /** The pages that are to run again; of those that are not parked, the answers are taken anyway. */
  take({ pages, submitted, lookMs }: CollectAnswersAnswer): number[] {
    const ready = pages.filter((page) => holdsPage(this.parked, page));
    for (const page of ready) this.parked = withoutPage(this.parked, page);
    this.submitted = submitted;
    this.lookMs = lookMs;
    return ready;
  }
}

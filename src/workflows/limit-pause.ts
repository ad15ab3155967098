import type { LimitWait } from '../contracts/messages.ts';
import type { Unpaid } from '../contracts/row.ts';
import { LIMIT_LEAD_MS, LIMIT_WAIT_MS, MOST_REFUSALS } from './activity-options.ts';

/** How long a job waits for a limit: as long as its pages said, and longer each time that no row got through in between. */
export class LimitPause {
  #until = 0;
  #reason: string | null = null;
  #refused = false;
  #refusals = 0;
  #leastMs: number = LIMIT_WAIT_MS.first;
  #unpaid: Unpaid | null = null;

  /** A page stopped for a limit; of several, the longest wait counts, and before all of them that nobody pays. */
  add({ ms, reason, refused, unpaidUntil }: LimitWait): void {
    if (unpaidUntil !== undefined) {
      this.#unpaid ??= { reason, until: unpaidUntil };
      return;
    }
    const until = Date.now() + (refused ? ms : Math.max(0, ms - LIMIT_LEAD_MS));
    if (this.#reason !== null && until <= this.#until) return;
    this.#until = until;
    this.#reason = reason;
    this.#refused = refused;
  }

  get reached(): boolean {
    return this.#reason !== null || this.#unpaid !== null;
  }

  /** Why nobody pays, where that is what is waited for; answered once. */
  takeUnpaid(): Unpaid | null {
    const unpaid = this.#unpaid;
    this.#unpaid = null;
    return unpaid;
  }

  /** Servers have refused so often in a row that rows that they refuse are to fail. */
  get lastTry(): boolean {
    return this.#refusals >= MOST_REFUSALS;
  }

  /** The wait begins; what is added from now on is about the next. */
  begin(): { until: number; reason: string } {
    const wait = { until: Math.max(this.#until, Date.now() + this.#leastMs), reason: this.#reason ?? '' };
    if (this.#refused) this.#refusals++;
    this.#leastMs = Math.min(this.#leastMs * LIMIT_WAIT_MS.factor, LIMIT_WAIT_MS.most);
    this.#reason = null;
    return wait;
  }

  /** Rows got through. */
  eased(): void {
    this.#refusals = 0;
    this.#leastMs = LIMIT_WAIT_MS.first;
  }
}

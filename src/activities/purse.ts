/**
 * What a job's calls are paid from: its own budget, and its tenant's of the month. A call holds what it is expected to cost
 * before it begins, and settles what it cost when it has ended; what many calls hold and settle at once is one write. What a worker
 * that died had held counts as spent.
 */
import { randomUUID } from 'node:crypto';
import type { BudgetAnswer, BudgetChange } from '../contracts/budget.ts';
import { jobBudget } from '../contracts/budget.ts';
import type { SheetJobRecord } from '../contracts/job.ts';
import type { Unpaid } from '../contracts/row.ts';
import { fits } from '../domain/budget.ts';
import type { MonthlyBudgets } from '../limits/monthly-budgets.ts';
import type { Store } from '../store/store.ts';

/** How long what has been settled may wait to be told, and how soon somebody looks again whether others have settled. */
const TELL_MS = 250;
/** How often a worker whose calls take long says that it lives. */
const RENEW_MS = 60_000;

/** What was taken of each budget for one call. */
export interface Hold {
  amount: number;
  accounts: Account[];
}

export interface Purse {
  /** Waits while what others hold may turn out to cost less. Rejects with the signal's reason, and with `store_unavailable`. */
  hold(amount: number, signal: AbortSignal): Promise<Hold | { unpaid: Unpaid }>;
  /** Once per hold. */
  settle(hold: Hold, cost: number): void;
  /** For what was begun without a hold, or long ago: services that answer later say only then what they cost. */
  spend(cost: number): void;
}

export interface Purses {
  /** Null: nothing limits what the job spends. */
  of(job: SheetJobRecord): Purse | null;
  /** Tells what has been settled. */
  close(): Promise<void>;
}

export function purses(store: Pick<Store, 'changeBudget' | 'jobSpent'>, monthly: MonthlyBudgets): Purses {
  const worker = randomUUID();
  const accounts = new Map<string, Account>();
  const account = (tenant: string, name: string, before: () => Promise<number>): Account => {
    const key = JSON.stringify([tenant, name]);
    const made = accounts.get(key) ?? new Account({
      worker, before, change: (change) => store.changeBudget(tenant, name, change), emptied: () => accounts.delete(key),
    });
    accounts.set(key, made);
    return made;
  };

  return {
    of(job) {
      const { tenant, id, request: { maxCost } } = job;
      const most = monthly.of(tenant);
      if (maxCost === undefined && most === null) return null;
      const budgets = (): { max: number; unpaid: Unpaid; account: Account }[] => {
        const month = monthOf(new Date());
        return [
          ...(maxCost === undefined ? [] : [{ max: maxCost, unpaid: jobUnpaid(id, maxCost), account: account(tenant, jobBudget(id), async () => (await store.jobSpent(tenant, id)).cost ?? 0) }]),
          ...(most === null ? [] : [{ max: most, unpaid: monthUnpaid(most, month.end), account: account(tenant, `month:${month.name}`, async () => 0) }]),
        ];
      };
      return {
        async hold(amount, signal) {
          const held: Account[] = [];
          try {
            for (const budget of budgets()) {
              if (!(await budget.account.hold(amount, budget.max, signal))) {
                for (const one of held) one.settle(amount, 0);
                return { unpaid: budget.unpaid };
              }
              held.push(budget.account);
            }
          } catch (error) {
            for (const one of held) one.settle(amount, 0);
            throw error;
          }
          return { amount, accounts: held };
        },
        settle(hold, cost) {
          for (const one of hold.accounts) one.settle(hold.amount, cost);
        },
        spend(cost) {
          if (cost > 0) for (const budget of budgets()) budget.account.spend(cost);
        },
      };
    },

    async close() {
      await Promise.all([...accounts.values()].map((one) => one.close()));
    },
  };
}

interface AccountOptions {
  worker: string;
  /** Where the budget is new: what had been spent before. */
  before(): Promise<number>;
  change(change: BudgetChange): Promise<BudgetAnswer>;
  emptied(): void;
}

interface Ask {
  amount: number;
  max: number;
  resolve(granted: boolean): void;
  reject(reason: unknown): void;
}

/** Calls for which a worker holds ahead, so that they need not wait for the store; fewer near the end of a budget. */
const CALLS_AHEAD = 100;
const SHARE_AHEAD = 0.05;

/** One budget as this worker sees it. */
class Account {
  readonly #options: AccountOptions;
  #asks: Ask[] = [];
  /** What has ended and is not told yet. */
  #settled = { held: 0, cost: 0 };
  /** Held, and not in use. */
  #ahead = 0;
  #max = 0;
  /** What a call lately held, and whether one began since it was last looked. */
  #usual = 0;
  #inUse = false;
  /** By all, as of the last answer. */
  #spent: number | null = null;
  /** Calls under way. */
  #open = 0;
  #before: number | null = null;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  #toldAt = 0;

  constructor(options: AccountOptions) {
    this.#options = options;
  }

  /** False: there is not so much left. */
  hold(amount: number, max: number, signal: AbortSignal): Promise<boolean> {
    this.#usual = amount;
    this.#inUse = true;
    if (max !== this.#max) this.#giveBack();
    this.#max = max;
    if (amount > 0 && amount <= this.#ahead && this.#asks.length === 0) {
      this.#ahead -= amount;
      this.#open++;
      if (this.#ahead < this.#wanted() / 2) this.#soon(0);
      return Promise.resolve(true);
    }
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const over = (): void => signal.removeEventListener('abort', abort);
      const ask: Ask = { amount, max, resolve: (granted) => { over(); resolve(granted); }, reject: (reason) => { over(); reject(reason as Error); } };
      const abort = (): void => {
        const at = this.#asks.indexOf(ask);
        if (at < 0) return; // it is being asked: whoever waits settles what it gets
        this.#asks.splice(at, 1);
        ask.reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#asks.push(ask);
      void this.#tell();
    });
  }

  settle(amount: number, cost: number): void {
    this.#settled.held += amount;
    this.#settled.cost += cost;
    this.#open--;
    if (this.#asks.length > 0) void this.#tell();
    else this.#soon(TELL_MS);
  }

  spend(cost: number): void {
    this.#settled.cost += cost;
    this.#soon(TELL_MS);
  }

  async close(): Promise<void> {
    this.#giveBack();
    clearTimeout(this.#timer);
    if (this.#untold) await this.#tell().catch(() => {}); // it counts as held, and then as spent
    clearTimeout(this.#timer);
  }

  get #untold(): boolean {
    return this.#settled.held > 0 || this.#settled.cost > 0;
  }

  #giveBack(): void {
    this.#settled.held += this.#ahead;
    this.#ahead = 0;
  }

  /** What to hold ahead. */
  #wanted(): number {
    if (this.#spent === null || !this.#inUse) return 0;
    const wanted = Math.min(this.#usual * CALLS_AHEAD, (this.#max - this.#spent) * SHARE_AHEAD);
    return wanted < this.#usual ? 0 : wanted;
  }

  /** At the latest after so long. */
  #soon(milliseconds: number): void {
    if (this.#timer !== undefined && milliseconds > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#tell(), milliseconds).unref();
  }

  /** One write at a time. */
  async #tell(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#busy) return;
    this.#busy = true;
    const asks = this.#asks.splice(0);
    const settled = this.#settled;
    this.#settled = { held: 0, cost: 0 };
    const ahead = Math.max(0, this.#wanted() - this.#ahead);
    try {
      this.#before ??= await this.#options.before();
      const { granted, spent } = await this.#options.change({
        worker: this.#options.worker, now: Date.now(), max: Math.min(this.#max, ...asks.map(({ max }) => max)), before: this.#before,
        settled, asks: [...asks.map(({ amount }) => amount), ...(ahead > 0 ? [ahead] : [])],
      });
      this.#toldAt = Date.now();
      this.#spent = spent;
      const begun = asks.slice(0, granted);
      if (granted > begun.length) this.#ahead += ahead;
      this.#open += begun.length;
      for (const { resolve } of begun) resolve(true);
      // What is held may turn out to cost less; what is spent will not.
      const rest = asks.slice(granted);
      for (const { amount, max, resolve } of rest) if (!fits(max, spent, amount)) resolve(false);
      this.#asks.unshift(...rest.filter(({ amount, max }) => fits(max, spent, amount)));
      // Others wait for what is not needed.
      if (rest.length > 0) this.#giveBack();
    } catch (error) {
      this.#settled = { held: this.#settled.held + settled.held, cost: this.#settled.cost + settled.cost };
      for (const { reject } of asks) reject(error);
    } finally {
      this.#busy = false;
    }
    this.#next();
  }

  #next(): void {
    if (!this.#inUse && this.#open === 0) this.#giveBack();
    this.#inUse = false;
    if (this.#asks.length > 0 && this.#untold) void this.#tell();
    else if (this.#asks.length > 0 || this.#untold || this.#ahead > 0) this.#soon(TELL_MS);
    else if (this.#open > 0) this.#soon(Math.max(1, this.#toldAt + RENEW_MS - Date.now()));
    else this.#options.emptied();
  }
}

const jobUnpaid = (id: string, max: number): Unpaid =>
  ({ reason: `The job may cost ${max}, and the next row would cost more than is left. Go on with: sheaf job resume ${id} --max-cost AMOUNT`, until: null });
const monthUnpaid = (max: number, end: string): Unpaid => ({ reason: `The tenant may spend ${max} this month, and the next row would cost more than is left.`, until: end });

function monthOf(now: Date): { name: string; end: string } {
  return { name: now.toISOString().slice(0, 7), end: new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1)).toISOString() };
}

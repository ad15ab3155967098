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

/** One budget as this worker sees it. */
class Account {
  readonly #options: AccountOptions;
  #asks: Ask[] = [];
  #settled = { held: 0, cost: 0 };
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
    else this.#later(TELL_MS);
  }

  spend(cost: number): void {
    this.#settled.cost += cost;
    this.#later(TELL_MS);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#settled.held > 0 || this.#settled.cost > 0) await this.#tell().catch(() => {}); // it counts as held, and then as spent
    clearTimeout(this.#timer);
  }

  #later(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#tell(), milliseconds).unref();
  }

  /** One write at a time. */
  async #tell(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    const asks = this.#asks.splice(0);
    const settled = this.#settled;
    this.#settled = { held: 0, cost: 0 };
    let waits = false;
    try {
      this.#before ??= await this.#options.before();
      const { granted, spent } = await this.#options.change({
        worker: this.#options.worker, now: Date.now(), max: Math.min(...asks.map(({ max }) => max), Number.MAX_VALUE), before: this.#before,
        settled, asks: asks.map(({ amount }) => amount),
      });
      this.#toldAt = Date.now();
      this.#open += granted;
      asks.slice(0, granted).forEach(({ resolve }) => resolve(true));
      // What is held may turn out to cost less; what is spent will not.
      const rest = asks.slice(granted).filter(({ amount, max }) => fits(max, spent, amount));
      for (const ask of asks.slice(granted)) if (!rest.includes(ask)) ask.resolve(false);
      this.#asks.unshift(...rest);
      waits = rest.length > 0;
    } catch (error) {
      this.#settled = { held: this.#settled.held + settled.held, cost: this.#settled.cost + settled.cost };
      asks.forEach(({ reject }) => reject(error));
    } finally {
      this.#busy = false;
    }
    this.#next(waits);
  }

  #next(waits: boolean): void {
    const untold = this.#settled.held > 0 || this.#settled.cost > 0;
    if (this.#asks.length > 0 && (!waits || untold)) void this.#tell();
    else if (this.#asks.length > 0 || untold) this.#later(TELL_MS);
    else if (this.#open > 0) this.#later(Math.max(0, this.#toldAt + RENEW_MS - Date.now()));
    else this.#options.emptied();
  }
}

const jobUnpaid = (id: string, max: number): Unpaid =>
  ({ reason: `The job may cost ${max}, and the next row would cost more than is left. Go on with: sheaf job resume ${id} --max-cost AMOUNT`, until: null });
const monthUnpaid = (max: number, end: string): Unpaid => ({ reason: `The tenant may spend ${max} this month, and the next row would cost more than is left.`, until: end });

function monthOf(now: Date): { name: string; end: string } {
  return { name: now.toISOString().slice(0, 7), end: new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1)).toISOString() };
}

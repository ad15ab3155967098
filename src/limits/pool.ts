/**
 * One named limit as a worker sees it: calls that its broker granted and that wait to be used, and what is to be told.
 * Times are this process's monotonic clock; what comes from the broker is a span, turned into moments on the safe side.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LeaseAnswer, LeaseRequest, LimitRule } from '../contracts/limits.ts';
import { ARRIVAL_MS } from '../domain/limit-broker.ts';
import type { LimitBrokers } from './limits.ts';
import { together, type Report } from './report.ts';

/** How often a worker with calls under way, and nothing else to say, tells that it lives. */
const RENEW_MS = 5_000;
/** What was given is given to others when nothing was heard for longer. */
const PLACES_MS = 12_000;
/** Between tries while the broker does not answer. */
const AGAIN_MS = 1_000;
/** Taken for the tokens of a call until one has ended. */
const FIRST_TOKENS = 1_000;
/** The estimate falls so fast after a call that took much. */
const TOKENS_DECAY = 0.95;

interface InHand {
  grant: number;
  user: string;
  calls: number;
  from: number;
  until: number;
}

/** A call that was begun. */
export interface Call {
  pool: LimitPool;
  grant: number;
  at: number;
  /** What was expected of it; told to the broker when it is counted before its end. */
  tokens: number;
  counted: boolean;
}

export interface PoolOptions {
  key: string;
  rule: LimitRule;
  worker: string;
  configuredAt: number;
  brokers: LimitBrokers;
  /** What waits for the limit, by user: calls that could begin now. */
  waiting(): ReadonlyMap<string, number>;
  /** Something has come, or will not come soon. */
  changed(): void;
}

export class LimitPool {
  readonly key: string;
  readonly #options: PoolOptions;
  #inHand: InHand[] = [];
  #open = new Set<Call>();
  #used: Report['used'] = [];
  #returned: Report['returned'] = [];
  /** Sent, and not answered yet. */
  #told: Report | null = null;
  #seq = 0;
  /** Calls begun since the last request, by user. */
  #taken = new Map<string, number>();
  #running = 0;
  #places: number | null = null;
  #placesUntil = 0;
  /** As the broker knows it: where that is more, others go without until it is told. */
  #placesTold = 0;
  #tokensPerCall = FIRST_TOKENS;
  #backOffUntil = 0;
  #backOffTold = true;
  #nextAt = new Map<string, number>();
  /** Until when those who made room for others stay away, by user. */
  #away = new Map<string, number>();
  #awayTold = true;
  #askedAt = 0;
  #intervalMs = 0;
  #answers = true;
  #closed = false;
  #loop: Promise<void> | null = null;
  #wake = new AbortController();

  constructor(options: PoolOptions) {
    this.#options = options;
    this.key = options.key;
    if (options.rule.concurrency !== null) this.#places = 0;
  }

  /** Why there is no call, for people. */
  get reason(): string {
    if (!this.#answers) return `The broker of limit ${this.key} does not answer.`;
    return this.#backOffUntil > performance.now() ? `The server behind limit ${this.key} asked to be left alone for a while.` : `Limit ${this.key} has no call left for now.`;
  }

  /** When the user can call: a moment that has come, one that will, or null where nothing is known. */
  readyAt(user: string): number | null {
    const now = performance.now();
    if (this.#backOffUntil > now) return this.#backOffUntil;
    const usable = this.#inHand.filter((held) => held.user === user && held.until > now);
    const from = Math.min(...usable.map((held) => held.from));
    if (Number.isFinite(from)) return !this.#hasPlace(now) && from <= now ? null : from;
    return this.#nextAt.get(user) ?? null;
  }

  /** Whether the user can call now. */
  has(user: string): boolean {
    const now = performance.now();
    return this.#hasPlace(now) && this.#backOffUntil <= now && this.#inHand.some((held) => held.user === user && held.from <= now && now < held.until);
  }

  #hasPlace = (now: number): boolean => this.#places === null || (this.#running < this.#places && now < this.#placesUntil);

  /** Only where `has` said so just now. */
  take(user: string): Call {
    const now = performance.now();
    const held = this.#inHand.filter((one) => one.user === user && one.from <= now && now < one.until).reduce((a, b) => (b.until < a.until ? b : a));
    if (--held.calls === 0) this.#inHand.splice(this.#inHand.indexOf(held), 1);
    this.#taken.set(user, (this.#taken.get(user) ?? 0) + 1);
    this.#running++;
    const call: Call = { pool: this, grant: held.grant, at: now, tokens: this.#estimate(), counted: false };
    this.#open.add(call);
    this.ask();
    return call;
  }

  /** The call has ended: it reached its server before now. */
  settle(call: Call, tokens: number | undefined): void {
    this.#running--;
    this.#open.delete(call);
    if (tokens !== undefined) this.#tokensPerCall = Math.max(tokens, Math.ceil(this.#tokensPerCall * TOKENS_DECAY));
    const at = Math.min(performance.now(), call.at + ARRIVAL_MS);
    if (!call.counted) this.#used.push({ grant: call.grant, at, calls: 1, tokens: tokens ?? call.tokens });
    // It was counted with what was expected of it: the rest, or what was too much.
    else if (tokens !== undefined && this.#options.rule.tokens !== null) this.#used.push({ grant: call.grant, at, calls: 0, tokens: tokens - call.tokens });
    this.ask();
    this.#options.changed();
  }

  backOff(milliseconds: number): void {
    this.#holdBack(performance.now() + milliseconds);
    this.#backOffTold = false;
    this.ask();
    this.#options.changed();
  }

  /** The user's calls were too long in coming: it will come again after so long. */
  left(user: string, milliseconds: number): void {
    this.#away.set(user, performance.now() + milliseconds);
    this.#awayTold = false;
    this.ask();
  }

  /** Makes sure that the broker is asked soon. */
  ask(): void {
    this.#loop ??= this.#run().finally(() => { this.#loop = null; });
    this.#wake.abort();
  }

  /** Gives back what was not used. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake.abort();
    await this.#loop;
    this.#giveBack(() => true);
    if (this.#used.length + this.#returned.length > 0) await this.#exchange().catch(() => {});
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // who asks may have more to say in this turn
    for (;;) {
      const pauseMs = this.#pauseMs();
      if (pauseMs === null) return;
      // What interrupts a pause is looked at, but the broker is not asked more often for it.
      this.#wake = new AbortController();
      if (pauseMs > 0) {
        await sleep(pauseMs, undefined, { signal: this.#wake.signal }).catch(() => {});
        continue;
      }
      try {
        await this.#exchange();
      } catch {
        this.#answers = false;
        this.#intervalMs = AGAIN_MS;
        this.#nextAt.clear();
      }
      this.#options.changed();
    }
  }

  /** How long until the broker is to be asked; null: there is nothing to ask. */
  #pauseMs(): number | null {
    if (this.#closed) return null;
    const due = this.#askedAt + (this.#backOffTold ? this.#intervalMs : 0) - performance.now();
    const busy = this.#options.waiting().size > 0 || this.#inHand.length > 0 || this.#used.length + this.#returned.length > 0
      || this.#told !== null || !this.#backOffTold || !this.#awayTold || this.#placesTold > (this.#places ?? 0) || [...this.#open].some(({ counted }) => !counted);
    if (busy) return Math.max(0, due);
    const holds = this.#places !== null && (this.#running > 0 || this.#places > 0);
    return holds ? Math.max(0, this.#running > 0 ? this.#askedAt + RENEW_MS - performance.now() : due) : null;
  }

  async #exchange(): Promise<void> {
    const sentAt = performance.now();
    this.#askedAt = sentAt;
    const request = this.#request(sentAt);
    const answer = await this.#options.brokers.lease(this.key, request);
    this.#receive(answer, sentAt);
  }

  #request(now: number): LeaseRequest {
    const waiting = this.#options.waiting();
    for (const [user, until] of this.#away) if (until <= now || waiting.has(user)) this.#away.delete(user);
    const wants: Record<string, number> = {};
    for (const user of new Set([...waiting.keys(), ...this.#taken.keys(), ...this.#inHand.map((held) => held.user)])) {
      const taken = this.#taken.get(user) ?? 0;
      // Whoever waits may use twice as much as until now; whoever does not has enough; and who went away wants nothing.
      const target = waiting.has(user) ? waiting.get(user)! + 2 * taken : this.#away.has(user) ? 0 : taken;
      const inHand = this.#inHand.reduce((sum, held) => sum + (held.user === user && held.until > now ? held.calls : 0), 0);
      if (target > inHand) wants[user] = target - inHand;
      else this.#giveBackSome(user, inHand - target);
    }
    this.#giveBack((held) => held.until <= now);
    this.#taken.clear();
    for (const call of this.#open) {
      if (call.counted || call.at + ARRIVAL_MS > now) continue;
      call.counted = true;
      this.#used.push({ grant: call.grant, at: call.at + ARRIVAL_MS, calls: 1, tokens: call.tokens });
    }
    if (this.#told === null) {
      this.#told = { seq: ++this.#seq, used: together(this.#used), returned: this.#returned };
      this.#used = [];
      this.#returned = [];
    }
    const backOffMs = Math.max(0, this.#backOffUntil - now);
    this.#placesTold = this.#places ?? 0;
    this.#backOffTold = true;
    this.#awayTold = true;
    return {
      worker: this.#options.worker, seq: this.#told.seq, rule: this.#options.rule, configuredAt: this.#options.configuredAt,
      wants, tokensPerCall: this.#estimate(),
      used: this.#told.used.map(({ grant, at, calls, tokens }) => ({ grant, agoMs: Math.max(0, Math.floor(now - at)), calls, tokens })),
      returned: this.#told.returned,
      running: this.#running, places: this.#places ?? 0, waiting: [...waiting.values()].reduce((sum, calls) => sum + calls, 0),
      backOffMs: Math.ceil(backOffMs), away: Object.fromEntries([...this.#away].map(([user, until]) => [user, Math.ceil(until - now)])),
    };
  }

  #receive(answer: LeaseAnswer, sentAt: number): void {
    const now = performance.now();
    this.#told = null;
    this.#answers = true;
    this.#intervalMs = answer.intervalMs;
    this.#places = answer.places;
    this.#placesUntil = sentAt + PLACES_MS;
    this.#nextAt = new Map(Object.entries(answer.nextInMs).map(([user, inMs]) => [user, now + inMs]));
    // The broker answered at some moment between these two: nothing begins too early, or too late.
    for (const { grant, user, calls, inMs, forMs } of answer.grants) this.#inHand.push({ grant, user, calls, from: now + inMs, until: sentAt + inMs + forMs });
    if (answer.backOffMs > 0) this.#holdBack(now + answer.backOffMs);
  }

  #holdBack(until: number): void {
    this.#backOffUntil = Math.max(this.#backOffUntil, until);
    this.#giveBack((held) => held.from < this.#backOffUntil);
  }

  #giveBack(which: (held: InHand) => boolean): void {
    this.#inHand = this.#inHand.filter((held) => {
      if (!which(held)) return true;
      this.#returned.push({ grant: held.grant, calls: held.calls });
      return false;
    });
  }

  /** Those that would be used last. */
  #giveBackSome(user: string, calls: number): void {
    for (const held of this.#inHand.filter((one) => one.user === user).toSorted((a, b) => b.until - a.until)) {
      const given = Math.min(held.calls, calls);
      if (given === 0) break;
      calls -= given;
      held.calls -= given;
      this.#returned.push({ grant: held.grant, calls: given });
    }
    this.#inHand = this.#inHand.filter((held) => held.calls > 0);
  }

  #estimate(): number {
    return this.#options.rule.tokens === null ? 0 : this.#tokensPerCall;
  }
}

/**
 * The broker of one limit: who may call, when, for all workers. Every call that it has granted counts from the moment of
 * the grant until a window's length after it is known, or must be assumed, to have reached the server; so no window at the
 * server's side has more than the limit, whatever workers and networks do in between.
 */
import type { Grant, LeaseAnswer, LeaseRequest, LimitRule, LimitState, LimitStatus, LimitUse, LimitWorker } from '../contracts/limits.ts';
import {
  addUse, bucketLevel, bucketRoomAt, dropOld, dropOldCalls, emptyMeter, projectMost, stepOf, sumOf, windowRoomAt,
} from './meter.ts';
import { sharePlaces } from './places.ts';

/** A call reaches its server within so long of its start, or ends sooner. */
export const ARRIVAL_MS = 1_000;
/** A workflow takes some ten Updates a second: workers ask less often the more of them there are. */
const INTERVAL_MS = { least: 200, perWorker: 100 } as const;
/** A worker that has not asked for so long asks for nothing any more. */
const SILENT_MS = 5_000;
/** The places of a worker that was not heard of for so long are free again. */
const LOST_MS = 15_000;

export class LimitBroker {
  readonly state: LimitState;

  constructor(rule: LimitRule, carried?: LimitState) {
    this.state = carried ?? {
      rule, configuredAt: 0, project: emptyMeter(), tokens: [], users: {}, workers: {}, backOffUntil: 0, turn: 0,
    };
  }

  /** `now`: ms since the epoch; never less than in an earlier call. */
  lease(request: LeaseRequest, now: number): LeaseAnswer {
    const { state } = this;
    if (request.configuredAt >= state.configuredAt) {
      state.rule = request.rule;
      state.configuredAt = request.configuredAt;
    }
    const worker = this.#worker(request.worker);
    worker.seenAt = now;
    worker.holds = Math.max(request.places, request.running);
    if (request.seq > worker.seq) {
      worker.seq = request.seq;
      this.#takeReport(worker, request, now);
    }
    this.#forget(now);
    worker.places = sharePlaces(state, request.worker, now);
    const nextAt = this.#assign(now);
    for (const grant of worker.grants) {
      if (grant.sentIn !== null) continue;
      grant.sentIn = request.seq;
      grant.until = Math.max(grant.from, now) + this.#validMs();
    }
    return {
      grants: worker.grants.filter(({ sentIn }) => sentIn === request.seq)
        .map(({ id, user, calls, from, until }) => ({ grant: id, user, calls, inMs: Math.max(0, from - now), forMs: until - Math.max(from, now) })),
      places: state.rule.concurrency === null ? null : worker.places,
      backOffMs: Math.max(0, state.backOffUntil - now),
      nextInMs: Object.fromEntries([...nextAt].filter(([user]) => (worker.wants[user] ?? 0) > 0).map(([user, at]) => [user, Math.max(0, at - now)])),
      intervalMs: this.#intervalMs(now),
    };
  }

  status(now: number): LimitStatus {
    const { state } = this;
    const { rule } = state;
    const inWindow = (uses: LimitState['tokens']): number => sumOf(uses.filter(([step]) => (step + 1) * stepOf(rule) + rule.perMs > now));
    const grants = this.#grants();
    const granted = (of: readonly Grant[]): number => of.reduce((sum, { calls }) => sum + calls, 0);
    const use = (used: number, most: number): LimitUse => ({ used: Math.max(0, used), most, left: Math.max(0, most - used) });
    const waits = (user: string): number => Object.values(state.workers).reduce((sum, { wants }) => sum + (wants[user] ?? 0), 0);
    const used = inWindow(state.project.uses) + granted(grants);
    const inBucket = rule.perProject === null ? Infinity : rule.perProject.capacity - bucketLevel(state.project, rule, now) - granted(grants);
    const project = rule.perProject === null ? null : use(used, projectMost(rule));
    const awayMs = (user: string): number => Math.max(0, ...Object.values(state.workers).map(({ away }) => (away[user] ?? 0) - now));
    const names = new Set([...Object.keys(state.users), ...Object.values(state.workers).flatMap(({ wants, away }) => [...Object.keys(wants), ...Object.keys(away)])]);
    const users = [...names].map((user) => {
      const mine = inWindow(state.users[user]?.uses ?? []) + granted(grants.filter((grant) => grant.user === user));
      return { user, used: mine, most: rule.perUser, left: rule.perUser === null ? null : Math.max(0, rule.perUser - mine), waiting: waits(user), awayMs: awayMs(user) };
    }).filter((user) => user.used > 0 || user.waiting > 0 || user.awayMs > 0).sort((a, b) => (a.user < b.user ? -1 : 1));
    return {
      rule,
      project: project && { ...project, left: Math.max(0, Math.floor(Math.min(project.left, inBucket))) },
      tokens: rule.tokens === null ? null : use(inWindow(state.tokens) + grants.reduce((sum, { calls, tokensPerCall }) => sum + calls * tokensPerCall, 0), rule.tokens),
      concurrency: rule.concurrency === null ? null : use(Object.values(state.workers).reduce((sum, { running }) => sum + running, 0), rule.concurrency),
      users,
      waiting: users.reduce((sum, { waiting }) => sum + waiting, 0),
      workers: this.#active(now),
      backOffMs: Math.max(0, state.backOffUntil - now),
    };
  }

  #worker(id: string): LimitWorker {
    return (this.state.workers[id] ??= { seq: 0, seenAt: 0, wants: {}, tokensPerCall: 0, grants: [], running: 0, waiting: 0, places: 0, holds: 0, away: {} });
  }

  #grants(): Grant[] {
    return Object.values(this.state.workers).flatMap(({ grants }) => grants);
  }

  #active(now: number): number {
    return Object.values(this.state.workers).filter(({ seenAt }) => seenAt > now - SILENT_MS).length;
  }

  #intervalMs = (now: number): number => Math.max(INTERVAL_MS.least, INTERVAL_MS.perWorker * this.#active(now));
  /** How long a worker may take to use what it was given, at least two of its turns. */
  #validMs = (): number => 1_000 + 2 * INTERVAL_MS.perWorker * Object.keys(this.state.workers).length;
  /** Calls are granted so long before they may be made, so that the worker has them when the moment comes. */
  #aheadMs = (now: number): number => 300 + 2 * this.#intervalMs(now);

  #takeReport(worker: LimitWorker, request: LeaseRequest, now: number): void {
    const { state } = this;
    const byId = new Map(worker.grants.map((grant) => [grant.id, grant]));
    for (const { grant: id, agoMs, calls, tokens } of request.used) {
      if (calls === 0) addUse(state.tokens, now - agoMs, tokens, stepOf(state.rule));
      const grant = byId.get(id);
      if (!grant || calls === 0) continue; // counted already, at the latest that it could have been
      const taken = Math.min(calls, grant.calls);
      grant.calls -= taken;
      this.#count(grant.user, now - agoMs, taken, tokens);
    }
    for (const { grant: id, calls } of request.returned) {
      const grant = byId.get(id);
      if (grant) grant.calls -= Math.min(calls, grant.calls);
    }
    if (request.backOffMs > 0) {
      state.backOffUntil = Math.max(state.backOffUntil, now + request.backOffMs);
      // What has not left yet is not given at all.
      for (const one of Object.values(state.workers)) one.grants = one.grants.filter(({ sentIn }) => sentIn !== null);
    }
    worker.grants = worker.grants.filter(({ calls }) => calls > 0);
    worker.running = request.running;
    worker.waiting = request.waiting;
    worker.tokensPerCall = request.tokensPerCall;
    worker.away = Object.fromEntries(Object.entries(request.away).map(([user, forMs]) => [user, now + forMs]));
    worker.wants = {};
    for (const [user, wanted] of Object.entries(request.wants)) {
      const coming = worker.grants.reduce((sum, grant) => sum + (grant.sentIn === null && grant.user === user ? grant.calls : 0), 0);
      if (wanted > coming) worker.wants[user] = wanted - coming;
    }
  }

  #count(user: string, at: number, calls: number, tokens: number): void {
    const { project, tokens: ofTokens, users, rule } = this.state;
    const stepMs = stepOf(rule);
    addUse(project.uses, at, calls, stepMs);
    addUse((users[user] ??= { uses: [], turn: 0 }).uses, at, calls, stepMs);
    if (rule.tokens !== null && tokens > 0) addUse(ofTokens, at, tokens, stepMs);
  }

  /** What has left the windows, workers that are gone, and grants of which nothing was heard: those count as used at the last moment. */
  #forget(now: number): void {
    const { state } = this;
    const graceMs = 2_000 + 3 * this.#intervalMs(now);
    for (const [id, worker] of Object.entries(state.workers)) {
      if (worker.seenAt < now - SILENT_MS) worker.wants = {};
      if (worker.seenAt < now - LOST_MS) worker.places = worker.holds = worker.running = worker.waiting = 0;
      worker.grants = worker.grants.filter((grant) => {
        if (grant.sentIn === null) return grant.until > now;
        if (grant.until + ARRIVAL_MS + graceMs > now) return true;
        this.#count(grant.user, grant.until + ARRIVAL_MS, grant.calls, grant.calls * grant.tokensPerCall);
        return false;
      });
      if (worker.grants.length === 0 && worker.seenAt < now - LOST_MS && Object.values(worker.away).every((until) => until < now)) delete state.workers[id];
    }
    dropOldCalls(state.project, state.rule, now);
    dropOld(state.tokens, state.rule, now);
    for (const [user, one] of Object.entries(state.users)) {
      dropOld(one.uses, state.rule, now);
      const known = one.uses.length > 0 || Object.values(state.workers).some(({ wants, grants }) => user in wants || grants.some((grant) => grant.user === user));
      if (!known) delete state.users[user];
    }
  }

  /** Grants what can be called soon, a call at a time, to whoever has had none for longest. Answers when users that got nothing may hope again. */
  #assign(now: number): Map<string, number> {
    const { state } = this;
    const { rule } = state;
    const horizon = now + this.#aheadMs(now);
    const granted = new Map<string, number>();
    let outstanding = 0;
    let tokens = 0;
    for (const { user, calls, tokensPerCall } of this.#grants()) {
      granted.set(user, (granted.get(user) ?? 0) + calls);
      outstanding += calls;
      tokens += calls * tokensPerCall;
    }
    /** When the limit has room for the user's next call, behind so many of others. */
    const roomAt = (user: string, tokensPerCall: number, before = 0): number => Math.max(
      now, state.backOffUntil,
      windowRoomAt(state.project.uses, projectMost(rule), rule, outstanding, 1 + before),
      bucketRoomAt(state.project, rule, outstanding, 1 + before, now),
      rule.perUser === null ? 0 : windowRoomAt(state.users[user]?.uses ?? [], rule.perUser, rule, granted.get(user) ?? 0, 1),
      rule.tokens === null ? 0 : windowRoomAt(state.tokens, rule.tokens, rule, tokens, tokensPerCall),
    );

    const next = new Map<string, number>();
    const inTurn = new Set(this.#waiting());
    for (let served = true; served; ) {
      served = false;
      for (const user of [...inTurn].sort((a, b) => (state.users[a]?.turn ?? 0) - (state.users[b]?.turn ?? 0))) {
        const worker = this.#neediest(user);
        const from = worker ? roomAt(user, this.#tokensOf(worker)) : Infinity;
        if (!worker || from > horizon) {
          inTurn.delete(user);
          if (worker) next.set(user, roomAt(user, this.#tokensOf(worker), next.size));
          continue;
        }
        this.#grant(worker, user, from);
        granted.set(user, (granted.get(user) ?? 0) + 1);
        outstanding++;
        tokens += this.#tokensOf(worker);
        served = true;
      }
    }
    for (const [user, at] of next) if (at === Infinity) next.set(user, now + this.#intervalMs(now));
    return next;
  }

  #waiting(): string[] {
    return Object.values(this.state.workers).flatMap(({ wants }) => Object.keys(wants));
  }

  /** The worker that can use a call of the user's and lacks most. */
  #neediest(user: string): LimitWorker | undefined {
    let found: LimitWorker | undefined;
    for (const worker of Object.values(this.state.workers)) {
      const wanted = worker.wants[user] ?? 0;
      const mayUse = this.state.rule.concurrency === null || worker.places > 0;
      if (wanted > 0 && mayUse && wanted > (found?.wants[user] ?? 0)) found = worker;
    }
    return found;
  }

  #tokensOf({ tokensPerCall }: LimitWorker): number {
    return this.state.rule.tokens === null ? 0 : Math.min(tokensPerCall, this.state.rule.tokens);
  }

  #grant(worker: LimitWorker, user: string, from: number): void {
    const { state } = this;
    const turn = ++state.turn;
    (state.users[user] ??= { uses: [], turn: 0 }).turn = turn;
    const left = worker.wants[user]! - 1;
    if (left > 0) worker.wants[user] = left;
    else delete worker.wants[user];
    const tokensPerCall = this.#tokensOf(worker);
    const open = worker.grants.find((grant) => grant.sentIn === null && grant.user === user && grant.from === from && grant.tokensPerCall === tokensPerCall);
    if (open) open.calls++;
    else worker.grants.push({ id: turn, user, calls: 1, tokensPerCall, from, until: from + this.#validMs(), sentIn: null });
  }
}

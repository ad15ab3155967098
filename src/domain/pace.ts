/** What calls take at least: by named limits, and by how often a web site may be asked. */
import type { LimitRule } from '../contracts/limits.ts';
import type { Foreseen } from '../contracts/row.ts';
import { hash53 } from './duplicates.ts';
import { projectMost } from './meter.ts';

/** Milliseconds until the last of so many calls of one user may begin, the limit being idle; `tokens`: of all of them. */
export function leastMs(rule: LimitRule, calls: number, tokens: number): number {
  const windows = (amount: number, most: number | null): number => (most === null || amount <= most ? 0 : (Math.ceil(amount / most) - 1) * rule.perMs);
  const refilled = rule.perProject === null ? 0 : (Math.max(0, calls - rule.perProject.capacity) / rule.perProject.refillPerSecond) * 1_000;
  return Math.max(windows(calls, rule.perUser), windows(calls, projectMost(rule)), windows(tokens, rule.tokens), refilled);
}

/** Sums of shares are a little off. */
const wholes = (sum: number): number => Math.ceil(sum - 1e-6);

/** The requests of rows to do, added up. */
export class Pace {
  #requests: number | null = 0;
  readonly #calls = new Map<string, number>();
  readonly #sites = new Map<string, { pages: number; perSecond: number }>();
  readonly #addresses = new Set<number>();

  add({ requests, visit }: Foreseen): void {
    if (requests === undefined) this.#requests = null;
    const again = visit !== undefined && this.#readBefore(visit.address);
    if (this.#requests !== null) this.#requests += (requests ?? 0) - (again ? 1 : 0);
    if (visit === undefined || again) return;
    const site = this.#sites.get(visit.host);
    this.#sites.set(visit.host, { pages: (site?.pages ?? 0) + 1, perSecond: visit.perSecond });
    this.call(visit.limits, 1);
  }

  call(limits: readonly string[], calls: number): void {
    for (const name of limits) this.#calls.set(name, (this.#calls.get(name) ?? 0) + calls);
  }

  get requests(): number | null {
    return this.#requests === null ? null : wholes(this.#requests);
  }

  /** What takes longest, as far as its limit goes; null: it all may begin at once. `tokens`: what the calls under `of` take. */
  least(ruleOf: (limit: string) => LimitRule, tokens: { of: readonly string[]; taken: number }): { seconds: number; limit: string } | null {
    const spans = [
      ...[...this.#sites].map(([limit, { pages, perSecond }]) => ({ limit, ms: ((pages - 1) / perSecond) * 1_000 })),
      ...[...this.#calls].map(([limit, calls]) => ({ limit, ms: leastMs(ruleOf(limit), wholes(calls), tokens.of.includes(limit) ? tokens.taken : 0) })),
    ];
    const longest = spans.reduce((one, other) => (other.ms > one.ms ? other : one), { limit: '', ms: 0 });
    return longest.ms === 0 ? null : { seconds: Math.round(longest.ms / 100) / 10, limit: longest.limit };
  }

  #readBefore(address: string | null): boolean {
    if (address === null) return false;
    const hash = hash53(address);
    return this.#addresses.has(hash) || !this.#addresses.add(hash);
  }
}

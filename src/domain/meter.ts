/**
 * Counts calls over time, and tells when another fits: in a sliding window, and in a bucket that drains. Calls are kept by
 * steps of time, each counted at the end of its step, so that what is kept is bounded and errs on the safe side.
 */
import type { LimitRule, Meter, Use } from '../contracts/limits.ts';

/** A window has so many steps: half a per cent of it is what rounding costs at most. */
const STEPS = 200;

export const stepOf = (rule: LimitRule): number => Math.max(1, Math.ceil(rule.perMs / STEPS));
export const emptyMeter = (): Meter => ({ uses: [], level: 0, at: 0 });
export const sumOf = (uses: readonly Use[]): number => uses.reduce((sum, [, amount]) => sum + amount, 0);

/** Most calls of the project in a window. */
export const projectMost = ({ perProject, perMs }: LimitRule): number =>
  perProject === null ? Infinity : Math.max(perProject.capacity, Math.floor((perProject.refillPerSecond * perMs) / 1000));

/** Adds what happened at `time`; in any order. */
export function addUse(uses: Use[], time: number, amount: number, stepMs: number): void {
  const step = Math.floor(time / stepMs);
  let index = uses.length;
  while (index > 0 && uses[index - 1]![0] > step) index--;
  if (index > 0 && uses[index - 1]![0] === step) uses[index - 1]![1] += amount;
  else uses.splice(index, 0, [step, amount]);
}

/** When what was used in a step leaves the window. */
const leaves = (step: number, rule: LimitRule): number => (step + 1) * stepOf(rule) + rule.perMs;

/** Takes out, and answers, what no window that ends at `now` or later has in it. */
export function dropOld(uses: Use[], rule: LimitRule, now: number): Use[] {
  const keep = uses.findIndex(([step]) => leaves(step, rule) > now);
  return uses.splice(0, keep < 0 ? uses.length : keep);
}

/** The same for the project's, whose bucket remembers what came before. */
export function dropOldCalls(meter: Meter, rule: LimitRule, now: number): void {
  for (const [step, calls] of dropOld(meter.uses, rule, now)) {
    const time = (step + 1) * stepOf(rule);
    meter.level = drained(meter, rule, time) + calls;
    meter.at = Math.max(meter.at, time);
  }
}

const drained = ({ level, at }: { level: number; at: number }, { perProject }: LimitRule, time: number): number =>
  Math.max(0, level - ((perProject?.refillPerSecond ?? 0) * Math.max(0, time - at)) / 1000);

/** What has been taken from the bucket and not been refilled at `now`. */
export function bucketLevel(meter: Meter, rule: LimitRule, now: number): number {
  let { level, at } = meter;
  for (const [step, calls] of meter.uses) {
    const time = Math.max(at, (step + 1) * stepOf(rule));
    level = drained({ level, at }, rule, time) + calls;
    at = time;
  }
  return drained({ level, at }, rule, now);
}

/**
 * When the window has room for `amount` more, beside `outstanding` that may be used at any moment from now on. Infinity: not
 * before something of that is known to be over.
 */
export function windowRoomAt(uses: readonly Use[], most: number, rule: LimitRule, outstanding: number, amount: number): number {
  let total = sumOf(uses) + outstanding + amount;
  if (total <= most) return -Infinity;
  for (const [step, used] of uses) {
    total -= used;
    if (total <= most) return leaves(step, rule);
  }
  return Infinity;
}

/** The same for the bucket. */
export function bucketRoomAt(meter: Meter, rule: LimitRule, outstanding: number, amount: number, now: number): number {
  if (rule.perProject === null) return -Infinity;
  const { capacity, refillPerSecond } = rule.perProject;
  if (outstanding + amount > capacity) return Infinity;
  const over = bucketLevel(meter, rule, now) + outstanding + amount - capacity;
  return over <= 0 ? -Infinity : now + Math.ceil((over * 1000) / refillPerSecond);
}

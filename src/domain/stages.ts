/** Where a job's time went, told by its events. */
import type { JobEvent } from '../contracts/job.ts';
import type { Stage, StageTimes } from '../contracts/summary.ts';

/**
 * `events` in their order; `endedAt` is the end that has no event yet. Rows that drain (`pausing`, `cancelling`) belong to
 * the stage before; the time between an end and a retry belongs to none.
 */
export function stageTimes(events: readonly Pick<JobEvent, 'at' | 'type'>[], endedAt: string): StageTimes {
  const times: StageTimes = { queued: 0, snapshot: 0, rows: 0, waiting: 0, paused: 0 };
  let stage: Stage | null = null;
  let since = 0;
  let read = false;
  for (const { at, type } of [...events, { at: endedAt, type: 'completed' }]) {
    const now = Date.parse(at);
    const next = stageAfter(type, read, stage);
    if (type === 'snapshot') read = true;
    if (next === stage) continue;
    if (stage !== null) times[stage] += Math.max(0, now - since);
    stage = next;
    since = now;
  }
  return times;
}

function stageAfter(type: string, read: boolean, stage: Stage | null): Stage | null {
  switch (type) {
    case 'created': case 'retried': case 'queued': return 'queued';
    case 'running': return read ? 'rows' : 'snapshot';
    case 'snapshot': return 'rows';
    case 'waiting': case 'paused': return type;
    case 'completed': case 'failed': case 'cancelled': return null;
    default: return stage;
  }
}

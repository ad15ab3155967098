/**
 * Page counts and events of jobs. Neither is ever searched: the records of 64 pages are one document, and so are the
 * events of a job. Sums over all pages are then right the moment a page is written, for one read by id and no refresh.
 */
import type { JobEvent, JobTotals, PageRecord } from '../../contracts/job.ts';
import { NOTHING_SPENT, plus } from '../../domain/spent.ts';
import { listed, numberCursor, readCursor } from '../cursor.ts';
import type { PageStore } from '../ports/pages.ts';
import type { Cluster } from './connection.ts';
import { documentId, Documents } from './documents.ts';

/** Page numbers in one block. */
const BLOCK = 64;
/** Events kept of a job. */
const NEWEST_EVENTS = 1_000;

export interface BlockSource {
  tenant: string;
  job: string;
  block: number;
  body: string;
}

interface BlockBody {
  /** In block 0: the highest block that there is. It is written before that block. */
  last: number;
  pages: { [page: string]: PageRecord & { fence: string } };
}

export interface EventsSource {
  tenant: string;
  job: string;
  body: string;
}

interface EventsBody {
  next: number;
  events: (JobEvent & { dedupe: string })[];
}

export const blockId = (tenant: string, job: string, block: number): string => documentId(tenant, job, block);
export const eventsId = (tenant: string, job: string): string => documentId(tenant, job);
export const bodyOf = (source: BlockSource | null): BlockBody => (source === null ? { last: 0, pages: {} } : (JSON.parse(source.body) as BlockBody));

/** How many blocks a job may have: the number that its first one names. */
export async function countBlocks(blocks: Documents<BlockSource>, tenant: string, job: string): Promise<number> {
  const first = await blocks.read(tenant, blockId(tenant, job, 0));
  return first === null ? 0 : bodyOf(first).last + 1;
}

export function pageMethods(cluster: Cluster): PageStore {
  const blocks = new Documents<BlockSource>(cluster, 'pages', { remembers: true });
  const logs = new Documents<EventsSource>(cluster, 'events');

  const announce = (tenant: string, job: string, block: number): Promise<void> =>
    blocks.change(tenant, blockId(tenant, job, 0), (found) => {
      const body = bodyOf(found);
      if (found !== null && body.last >= block) return { answer: undefined };
      return { write: { tenant, job, block: 0, body: JSON.stringify({ ...body, last: block }) }, answer: undefined };
    });

  /** Ascending, from the block that a page is in. */
  async function* recordsFrom(tenant: string, job: string, page: number): AsyncGenerator<PageRecord> {
    const count = await countBlocks(blocks, tenant, job);
    for (let block = Math.floor(page / BLOCK); block < count; block++) {
      const { pages } = bodyOf(await blocks.read(tenant, blockId(tenant, job, block)));
      // Numbers as names of properties are in ascending order.
      for (const { fence: _fence, ...record } of Object.values(pages)) yield record;
    }
  }

  return {
    writePage: async (tenant, job, { fence, ...page }) => {
      const block = Math.floor(page.page / BLOCK);
      /** Null: the block is not there and has to be announced. */
      const write = (announced: boolean): Promise<boolean | null> => blocks.change(tenant, blockId(tenant, job, block), (found) => {
        if (found === null && !announced) return { answer: null };
        const body = bodyOf(found);
        const before = body.pages[page.page];
        if (before !== undefined && BigInt(before.fence) > fence) return { answer: false };
        body.pages[page.page] = { ...page, result: page.result ?? before?.result ?? null, fence: String(fence) };
        return { write: { tenant, job, block, body: JSON.stringify(body) }, answer: true };
      });
      const written = await write(block === 0);
      if (written !== null) return written;
      await announce(tenant, job, block);
      return (await write(true)) === true;
    },

    listPages: async (tenant, job, page) => {
      const [after] = readCursor(page.cursor, numberCursor) ?? [-1];
      const found: PageRecord[] = [];
      for await (const record of recordsFrom(tenant, job, after + 1)) {
        if (record.page > after) found.push(record);
        if (found.length > page.limit) break;
      }
      return listed(found, page.limit, (record) => [record.page]);
    },

    getPage: async (tenant, job, page) => {
      const { pages } = bodyOf(await blocks.read(tenant, blockId(tenant, job, Math.floor(page / BLOCK))));
      const found = pages[page];
      if (found === undefined) return null;
      const { fence: _fence, ...record } = found;
      return record;
    },

    jobTotals: async (tenant, job, attempt) => {
      const sum: JobTotals = { done: 0, unchanged: 0, failed: 0, skipped: 0, tried: 0, faults: 0 };
      const first = await blocks.read(tenant, blockId(tenant, job, 0));
      if (first === null) return sum;
      const more = Array.from({ length: bodyOf(first).last }, (_, index) => blockId(tenant, job, index + 1));
      for (const block of [first, ...(await blocks.readAll(tenant, more))]) {
        for (const record of Object.values(bodyOf(block).pages)) {
          for (const outcome of ['done', 'unchanged', 'failed', 'skipped'] as const) sum[outcome] += record.counts[outcome];
          if (record.spent) sum.spent = plus(sum.spent ?? NOTHING_SPENT, record.spent);
          if (record.submitted) sum.submitted = (sum.submitted ?? 0) + record.submitted;
          if (record.attempt !== attempt) continue;
          sum.tried += record.tried;
          sum.faults += record.faults;
        }
      }
      return sum;
    },

    jobSpent: async (tenant, job) => {
      let sum = NOTHING_SPENT;
      for await (const { spent } of recordsFrom(tenant, job, 0)) if (spent) sum = plus(sum, spent);
      return sum;
    },

    appendEvent: (tenant, job, event) => logs.change(tenant, eventsId(tenant, job), (found) => {
      const body: EventsBody = found === null ? { next: 1, events: [] } : (JSON.parse(found.body) as EventsBody);
      if (body.events.some(({ dedupe }) => dedupe === event.dedupe)) return { answer: undefined };
      const { dedupe, at, type, message, data } = event;
      body.events.push({ seq: body.next, dedupe, at, type, message, ...(data !== undefined && { data }) });
      const kept: EventsBody = { next: body.next + 1, events: body.events.slice(-NEWEST_EVENTS) };
      return { write: { tenant, job, body: JSON.stringify(kept) }, answer: undefined };
    }),

    listEvents: async (tenant, job, page) => {
      const [after] = readCursor(page.cursor, numberCursor) ?? [0];
      const log = await logs.read(tenant, eventsId(tenant, job));
      const { events } = log === null ? { events: [] } : (JSON.parse(log.body) as EventsBody);
      const found = events.filter(({ seq }) => seq > after).map(({ dedupe: _dedupe, ...event }): JobEvent => event);
      return listed(found, page.limit, (event) => [event.seq]);
    },
  };
}

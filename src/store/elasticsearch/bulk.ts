/** Many writes in few requests. Every answer is looked at: what was written, what lost to a newer writer, what was refused. */
import { setTimeout as sleep } from 'node:timers/promises';
import { errors } from '@elastic/elasticsearch';
import { TextBytes } from '../../domain/text-bytes.ts';
import { type Cluster, refusal } from './connection.ts';
import type { Kind } from './schema.ts';

const MAX_BYTES = 5 * 2 ** 20;
/** Of one request: what comes back is small, and others wait while it is written. */
const MAX_DOCUMENTS = 3_000;
/** A request that is worth sending while others are under way. */
const LARGE_DOCUMENTS = 1_500;
export const LARGE_BYTES = 1.5 * 2 ** 20;
/** Pauses before documents that the cluster had no room for are sent again. */
const PAUSES_MS = [50, 100, 250, 500, 1_000, 2_000, 4_000];

export interface BulkWrite {
  kind: Kind;
  /** In place of the index that the kind's alias points at. */
  into?: string;
  tenant: string;
  id: string;
  /** Guards the write: a document of a higher fence stays. */
  fence?: bigint;
  /** JSON; null removes. */
  source: string | null;
}

/** `superseded`: a newer writer was there first. `refused`: Elasticsearch will never take this document, `source`, as it is. */
export type BulkOutcome = { outcome: 'written' | 'superseded' } | { outcome: 'refused'; status: number; type: string; source: string };

const WRITTEN: BulkOutcome = { outcome: 'written' };
const SUPERSEDED: BulkOutcome = { outcome: 'superseded' };

interface ItemAnswer {
  status: number;
  error?: { type?: string };
}

/** Where a write goes that does not say so. */
const USUAL: Kind = 'items';
const LINE_END = 10;
const DELETE = '{"delete":';
/** Writes that become one text: to write each on its own costs more than to join them. */
const JOINED = 100;

/** Writes of one request, in its words: bytes, because they wait for their turn, and what waits in the heap is copied by the collector. */
export class BulkBody {
  readonly #text: TextBytes;
  #count = 0;
  /** Where each write begins, once somebody has asked. */
  #starts: number[] | null = null;
  /** A request that was given up may still be reading it. */
  mayBeRead = false;

  /** `bytes`: that will probably come. */
  constructor(bytes = 0) {
    this.#text = new TextBytes(bytes);
  }

  get count(): number {
    return this.#count;
  }

  get isLarge(): boolean {
    return this.#count >= LARGE_DOCUMENTS || this.#text.length >= LARGE_BYTES;
  }

  /** Takes lines of `lineOf`, from `from` on, while they surely have room; the first it has, however large. Answers where those begin that it did not take. */
  take(lines: readonly string[], from: number): number {
    for (let next = from; ; ) {
      const end = this.#fitting(lines, next);
      if (end === next) return next;
      this.#text.append(lines.slice(next, end).join(''));
      this.#count += end - next;
      next = end;
    }
  }

  /** Where those end of the next ones that surely have room, so many at most as are joined. */
  #fitting(lines: readonly string[], from: number): number {
    const most = Math.min(lines.length, from + JOINED, from + MAX_DOCUMENTS - this.#count);
    let bytes = this.#text.length;
    let end = from;
    while (end < most) {
      bytes += lines[end]!.length * 3; // a UTF-16 unit has at most three bytes
      if (bytes > MAX_BYTES && end + this.#count > from) break;
      end++;
    }
    return end;
  }

  /** Of all writes, or of some. */
  bytes(indexes?: readonly number[]): Buffer {
    const all = this.#text.bytes;
    if (indexes === undefined || indexes.length === this.#count) return all;
    const starts = (this.#starts ??= startsOf(all));
    return Buffer.concat(indexes.map((index) => all.subarray(starts[index], starts[index + 1])));
  }

  /** Of a write that is no delete. */
  sourceOf(index: number): string {
    const [, source = ''] = this.bytes([index]).toString().split('\n');
    return source;
  }

  /** For further writes: memory that is used for the first time costs as much as what is done with it. */
  empty(): void {
    this.#text.empty();
    this.#count = 0;
    this.#starts = null;
  }

  /** Gives the memory back at once where that is safe. */
  letGo(): void {
    if (!this.mayBeRead) this.#text.letGo();
  }
}

/** Where each write begins: what is to be done, and below it the document unless it is to be removed. */
function startsOf(body: Buffer): number[] {
  const starts: number[] = [];
  for (let at = 0; at < body.length; at = body.indexOf(LINE_END, at) + 1) {
    starts.push(at);
    if (body.toString('latin1', at, at + DELETE.length) !== DELETE) at = body.indexOf(LINE_END, at) + 1;
  }
  return starts;
}

/** In the order of the writes. Rejects with `store_unavailable`; what was written until then stays, and may be written again. */
export async function bulk(cluster: Cluster, writes: BulkWrite[]): Promise<BulkOutcome[]> {
  const outcomes: BulkOutcome[] = [];
  const lines = writes.map((write) => lineOf(cluster, write));
  for (let from = 0; from < lines.length; ) {
    const body = new BulkBody();
    from = body.take(lines, from);
    outcomes.push(...(await send(cluster, body)));
    body.letGo();
  }
  return outcomes;
}

/** What `request` says of all writes is left out. Written by hand, because a fence is more than a number of JavaScript can hold. */
export function lineOf({ names }: Cluster, { kind, into, tenant, id, fence, source }: BulkWrite): string {
  const index = into !== undefined ? `"_index":"${into}","require_alias":false,` : kind === USUAL ? '' : `"_index":"${names.write(kind)}",`;
  const guard = fence === undefined ? '' : `,"version":${fence},"version_type":"external_gte"`;
  const target = `{${index}"_id":"${id}","routing":${JSON.stringify(tenant)}${guard}}`;
  return source === null ? `${DELETE}${target}}\n` : `{"index":${target}}\n${source}\n`;
}

/** In the order of the body's writes, which it keeps. */
export async function send(cluster: Cluster, body: BulkBody): Promise<BulkOutcome[]> {
  const outcomes = Array<BulkOutcome>(body.count).fill(WRITTEN);
  let open = [...outcomes.keys()];
  for (let tried = 0; ; tried++) {
    const answers = (await request(cluster, body, open)) ?? [];
    const busy: { index: number; status: number; type: string }[] = [];
    for (const [position, { status, error }] of answers.entries()) {
      const index = open[position]!;
      const type = error?.type ?? 'error';
      // A delete that found nothing is a 404 without an error.
      if (error === undefined) outcomes[index] = WRITTEN;
      else if (status === 409) outcomes[index] = SUPERSEDED;
      else if (status === 400 || status === 413) outcomes[index] = { outcome: 'refused', status, type, source: body.sourceOf(index) };
      else if (status === 429 || status >= 500) busy.push({ index, status, type });
      else throw refusal(status, type);
    }
    const [first] = busy;
    if (first === undefined) return outcomes;
    const pause = PAUSES_MS[tried];
    if (pause === undefined || (first.type === 'cluster_block_exception' && first.status !== 503)) throw refusal(first.status, first.type);
    await sleep(pause * (0.5 + Math.random()));
    open = busy.map(({ index }) => index);
  }
}

/** An answer a write; null: all were written. A request that is too large as a whole is sent in halves, until one write is alone to blame. */
async function request(cluster: Cluster, body: BulkBody, indexes: readonly number[]): Promise<ItemAnswer[] | null> {
  let tooLarge = false;
  const answer = await cluster.call(async () => {
    try {
      return await cluster.client.transport.request<{ errors: boolean; items?: Record<string, ItemAnswer>[] }>({
        method: 'POST', path: `/${cluster.names.write(USUAL)}/_bulk`,
        querystring: { require_alias: true, filter_path: 'errors,items.*.status,items.*.error.type' }, bulkBody: body.bytes(indexes),
      });
    } catch (error) {
      body.mayBeRead = true;
      if (!(error instanceof errors.ResponseError) || error.statusCode !== 413) throw error;
      tooLarge = true;
      return { errors: true, items: [] };
    }
  });
  if (tooLarge) {
    if (indexes.length === 1) return [{ status: 413, error: { type: 'request_too_large' } }];
    const half = Math.ceil(indexes.length / 2);
    const answers: ItemAnswer[] = [];
    for (const part of [indexes.slice(0, half), indexes.slice(half)]) answers.push(...((await request(cluster, body, part)) ?? part.map(() => ({ status: 200 }))));
    return answers;
  }
  if (answer.errors === false) return null;
  const answers = (answer.items ?? []).map((item) => Object.values(item)[0] ?? { status: 500, error: {} });
  if (answers.length !== indexes.length) throw refusal(502, 'incomplete_answer');
  return answers;
}

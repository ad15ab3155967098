/** Many writes in few requests. Every answer is looked at: what was written, what lost to a newer writer, what was refused. */
import { setTimeout as sleep } from 'node:timers/promises';
import { errors } from '@elastic/elasticsearch';
import { type Cluster, refusal } from './connection.ts';
import type { Kind } from './schema.ts';

const MAX_BYTES = 5 * 2 ** 20;
const MAX_DOCUMENTS = 5_000;
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

/** `superseded`: a newer writer was there first. `refused`: Elasticsearch will never take this document as it is. */
export type BulkOutcome = { outcome: 'written' | 'superseded' } | { outcome: 'refused'; status: number; type: string };

const WRITTEN: BulkOutcome = { outcome: 'written' };
const SUPERSEDED: BulkOutcome = { outcome: 'superseded' };

interface ItemAnswer {
  status: number;
  error?: { type?: string };
}

/** In the order of the writes. Rejects with `store_unavailable`; what was written until then stays, and may be written again. */
export async function bulk(cluster: Cluster, writes: BulkWrite[]): Promise<BulkOutcome[]> {
  const outcomes: BulkOutcome[] = [];
  for (let from = 0; from < writes.length;) {
    const lines: string[] = [];
    let bytes = 0;
    let to = from;
    for (; to < writes.length && to - from < MAX_DOCUMENTS; to++) {
      const text = lineOf(cluster, writes[to]!);
      const size = Buffer.byteLength(text);
      if (lines.length > 0 && bytes + size > MAX_BYTES) break;
      lines.push(text);
      bytes += size;
    }
    outcomes.push(...(await send(cluster, lines)));
    from = to;
  }
  return outcomes;
}

/** Written by hand, because a fence is more than a number of JavaScript can hold. */
function lineOf({ names }: Cluster, { kind, into, tenant, id, fence, source }: BulkWrite): string {
  const guard = fence === undefined ? '' : `,"version":${fence},"version_type":"external_gte"`;
  const target = `{"_index":"${into ?? names.write(kind)}","_id":"${id}","routing":${JSON.stringify(tenant)}${guard}`;
  return source === null ? `{"delete":${target}}}\n` : `{"index":${target},"require_alias":${into === undefined}}}\n${source}\n`;
}

async function send(cluster: Cluster, lines: string[]): Promise<BulkOutcome[]> {
  const outcomes: BulkOutcome[] = lines.map(() => WRITTEN);
  let open = lines.map((_, index) => index);
  for (let tried = 0; ; tried++) {
    const answers = await request(cluster, open.map((index) => lines[index]!));
    const busy: { index: number; status: number; type: string }[] = [];
    for (const [position, { status, error }] of answers.entries()) {
      const index = open[position]!;
      const type = error?.type ?? 'error';
      // A delete that found nothing is a 404 without an error.
      if (error === undefined) outcomes[index] = WRITTEN;
      else if (status === 409) outcomes[index] = SUPERSEDED;
      else if (status === 400 || status === 413) outcomes[index] = { outcome: 'refused', status, type };
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

/** An answer a line. A request that is too large as a whole is sent in halves, until one line is alone to blame. */
async function request(cluster: Cluster, lines: string[]): Promise<ItemAnswer[]> {
  let tooLarge = false;
  const answer = await cluster.call(async () => {
    try {
      return await cluster.client.transport.request<{ errors: boolean; items?: Record<string, ItemAnswer>[] }>({
        method: 'POST', path: '/_bulk', querystring: { filter_path: 'errors,items.*.status,items.*.error.type' }, bulkBody: lines.join(''),
      });
    } catch (error) {
      if (!(error instanceof errors.ResponseError) || error.statusCode !== 413) throw error;
      tooLarge = true;
      return { errors: true, items: [] };
    }
  });
  if (tooLarge) {
    if (lines.length === 1) return [{ status: 413, error: { type: 'request_too_large' } }];
    const half = Math.ceil(lines.length / 2);
    return [...(await request(cluster, lines.slice(0, half))), ...(await request(cluster, lines.slice(half)))];
  }
  if (answer.errors === false) return lines.map(() => ({ status: 200 }));
  const answers = (answer.items ?? []).map((item) => Object.values(item)[0] ?? { status: 500, error: {} });
  if (answers.length !== lines.length) throw refusal(502, 'incomplete_answer');
  return answers;
}

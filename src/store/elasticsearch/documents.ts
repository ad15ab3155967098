/**
 * Documents of one kind that are read by id, at once and never by search, and changed by compare-and-set: whoever read
 * something that has changed since reads again and decides anew.
 */
import { digest } from '../../domain/hashing.ts';
import { SheafError } from '../../contracts/errors.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import type { estypes } from '@elastic/elasticsearch';
import { type Cluster, Conflict, refusal } from './connection.ts';
import type { Kind } from './schema.ts';

/** The id of a document: a hash, because keys are longer than the 512 bytes that an id may have. */
export const documentId = (...key: (string | number)[]): string => digest(JSON.stringify(key));

/** What is to become of a document. `write: null` removes it; left out, it stays as it is. */
export interface Decision<Source, Answer> {
  write?: Source | null;
  answer: Answer;
}

/** Lost races in a row before we call it a fault. */
const MAX_RACES = 200;

export class Documents<Source extends { tenant: string }> {
  readonly #cluster: Cluster;
  readonly #kind: Kind;
  /** Changes of one document by this process wait for each other: they would only lose races. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(cluster: Cluster, kind: Kind) {
    this.#cluster = cluster;
    this.#kind = kind;
  }

  async read(tenant: string, id: string): Promise<Source | null> {
    return (await this.#get(tenant, id))?.source ?? null;
  }

  /** In the order of the ids; null for those that are not there. */
  async readAll(tenant: string, ids: string[]): Promise<(Source | null)[]> {
    if (ids.length === 0) return [];
    const { client, names } = this.#cluster;
    const { docs } = await this.#cluster.call(() => client.mget<Source>({ index: names.read(this.#kind), routing: tenant, ids }));
    return docs.map((doc) => readOf(doc, tenant)?._source ?? null);
  }

  /** False when it is there already; then nothing is written. */
  async create(id: string, source: Source): Promise<boolean> {
    const { client, names } = this.#cluster;
    try {
      await this.#cluster.call(() => client.index({
        index: names.write(this.#kind), require_alias: true, routing: source.tenant, id, op_type: 'create', document: source,
      }));
      return true;
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      return error.perhapsOwn && same((await this.#get(source.tenant, id))?.source, source);
    }
  }

  /** Asks `decide` with what is there, again whenever somebody else was faster, and carries out what it says. */
  change<Answer>(tenant: string, id: string, decide: (found: Source | null) => Decision<Source, Answer>): Promise<Answer> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const turn = before.then(() => {}, () => {}).then(() => this.#change(tenant, id, decide));
    this.#turns.set(id, turn);
    const done = (): void => {
      if (this.#turns.get(id) === turn) this.#turns.delete(id);
    };
    turn.then(done, done);
    return turn;
  }

  async #change<Answer>(tenant: string, id: string, decide: (found: Source | null) => Decision<Source, Answer>): Promise<Answer> {
    /** A write of ours that was perhaps made, though its answer never came. */
    let perhaps: Decision<Source, Answer> | null = null;
    for (let races = 0; races < MAX_RACES; races++) {
      const found = await this.#get(tenant, id);
      if (perhaps && same(found?.source ?? null, perhaps.write)) return perhaps.answer;
      const decision = decide(found?.source ?? null);
      if (decision.write === undefined || (decision.write === null && found === null)) return decision.answer;
      try {
        await this.#write(tenant, id, decision.write, found);
        return decision.answer;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        perhaps = error.perhapsOwn ? decision : null;
      }
      if (races > 3) await sleep(Math.random() * 20);
    }
    throw new SheafError('conflict', 'Too many writers change the same record at once.', { remedy: 'Try again.' });
  }

  async #write(tenant: string, id: string, source: Source | null, found: { seqNo: number; term: number } | null): Promise<void> {
    const { client, names } = this.#cluster;
    const target = { index: names.write(this.#kind), routing: tenant, id };
    const guard = found === null ? { op_type: 'create' as const } : { if_seq_no: found.seqNo, if_primary_term: found.term };
    await this.#cluster.call(async () => {
      if (source !== null) await client.index({ ...target, require_alias: true, ...guard, document: source });
      else if (found !== null) await client.delete({ ...target, if_seq_no: found.seqNo, if_primary_term: found.term }, { ignore: [404] });
    });
  }

  async #get(tenant: string, id: string): Promise<{ source: Source; seqNo: number; term: number } | null> {
    const { client, names } = this.#cluster;
    // mget, because it tells a missing document from a missing index.
    const { docs } = await this.#cluster.call(() => client.mget<Source>({ index: names.read(this.#kind), routing: tenant, ids: [id] }));
    const doc = docs[0] && readOf(docs[0], tenant);
    return doc?._source === undefined ? null : { source: doc._source, seqNo: doc._seq_no ?? 0, term: doc._primary_term ?? 0 };
  }
}

/** Null: it is not there. A cluster that has just started lacks shards, and even indices: what is in them is not missing. */
export function readOf<Source extends { tenant: string }>(doc: estypes.MgetResponseItem<Source>, tenant: string): estypes.GetGetResult<Source> | null {
  if ('error' in doc) throw refusal(503, doc.error.type);
  return doc.found && doc._source?.tenant === tenant ? doc : null;
}

const same = (left: unknown, right: unknown): boolean => JSON.stringify(left) === JSON.stringify(right);

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
/** Documents that are remembered: those of the jobs that a process works on. */
const MAX_REMEMBERED = 32;

interface Found<Source> {
  source: Source;
  seqNo: number;
  term: number;
}

/** Somebody's wish to change a document. */
interface Change<Source> {
  /** Throws what the asker is told. `carriedOut` is called when the write, or that there is none, is certain. */
  decide(found: Source | null): { write?: Source | null; carriedOut: () => void };
  failed(error: unknown): void;
}

export class Documents<Source extends { tenant: string }> {
  readonly #cluster: Cluster;
  readonly #kind: Kind;
  /** Changes of one document by this process wait for each other, because they would only lose races; what waits is then decided and written together. */
  readonly #waiting = new Map<string, Change<Source>[]>();
  /** As this process wrote them last: a change that builds on one needs no reading, since the cluster refuses it where somebody else was faster. */
  readonly #remembered: Map<string, Found<Source>> | null;

  /** `remembers`: this process changes the same few documents again and again. */
  constructor(cluster: Cluster, kind: Kind, { remembers = false }: { remembers?: boolean } = {}) {
    this.#cluster = cluster;
    this.#kind = kind;
    this.#remembered = remembers ? new Map() : null;
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

  /** Asks `decide` with what is there, again whenever somebody else was faster, and carries out what it says. `decide` leaves what it is given as it is. */
  change<Answer>(tenant: string, id: string, decide: (found: Source | null) => Decision<Source, Answer>): Promise<Answer> {
    return new Promise((resolve, failed) => {
      const change: Change<Source> = {
        decide: (found) => {
          const { answer, ...decision } = decide(found);
          return { ...decision, carriedOut: () => resolve(answer) };
        },
        failed,
      };
      const waiting = this.#waiting.get(id);
      if (waiting) waiting.push(change);
      else {
        this.#waiting.set(id, [change]);
        void this.#takeTurns(tenant, id);
      }
    });
  }

  async #takeTurns(tenant: string, id: string): Promise<void> {
    for (let turn = this.#waiting.get(id); turn && turn.length > 0; turn = this.#waiting.get(id)) {
      this.#waiting.set(id, []);
      try {
        await this.#carryOut(tenant, id, turn);
      } catch (error) {
        this.#remembered?.delete(id);
        for (const { failed } of turn) failed(error);
      }
    }
    this.#waiting.delete(id);
  }

  /** Rejects with what all of the changes are told that have not been told anything yet. */
  async #carryOut(tenant: string, id: string, changes: Change<Source>[]): Promise<void> {
    const open = new Set(changes);
    /** A write of ours that was perhaps made, though its answer never came. */
    let perhaps: { write: Source | null; carriedOut: () => void } | null = null;
    for (let races = 0; races < MAX_RACES; races++) {
      const remembered = this.#remembered?.get(id);
      this.#remembered?.delete(id);
      const found = remembered ?? await this.#get(tenant, id);
      if (perhaps && same(found?.source ?? null, perhaps.write)) return perhaps.carriedOut();
      const decided = decideAll(open, found?.source ?? null);
      if (decided.write === undefined || (decided.write === null && found === null)) {
        if (remembered) continue; // only a write proves that it is still as we remember it
        return decided.carriedOut();
      }
      try {
        const written = await this.#write(tenant, id, decided.write, found);
        // Where others write it too, it is soon not as we remember it.
        if (written && races === 0) this.#remember(id, written);
        return decided.carriedOut();
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        perhaps = error.perhapsOwn ? { write: decided.write, carriedOut: decided.carriedOut } : null;
      }
      if (races > 3) await sleep(Math.random() * 20);
    }
    throw new SheafError('conflict', 'Too many writers change the same record at once.', { remedy: 'Try again.' });
  }

  #remember(id: string, written: Found<Source>): void {
    if (!this.#remembered) return;
    this.#remembered.set(id, written);
    if (this.#remembered.size > MAX_REMEMBERED) this.#remembered.delete(this.#remembered.keys().next().value!);
  }

  /** Null: it was removed. */
  async #write(tenant: string, id: string, source: Source | null, found: Found<Source> | null): Promise<Found<Source> | null> {
    const { client, names } = this.#cluster;
    const target = { index: names.write(this.#kind), routing: tenant, id };
    const guard = found === null ? { op_type: 'create' as const } : { if_seq_no: found.seqNo, if_primary_term: found.term };
    return this.#cluster.call(async () => {
      if (source === null) {
        if (found !== null) await client.delete({ ...target, if_seq_no: found.seqNo, if_primary_term: found.term }, { ignore: [404] });
        return null;
      }
      const { _seq_no: seqNo, _primary_term: term } = await client.index({ ...target, require_alias: true, ...guard, document: source });
      return seqNo === undefined || term === undefined ? null : { source, seqNo, term };
    });
  }

  async #get(tenant: string, id: string): Promise<Found<Source> | null> {
    const { client, names } = this.#cluster;
    // mget, because it tells a missing document from a missing index.
    const { docs } = await this.#cluster.call(() => client.mget<Source>({ index: names.read(this.#kind), routing: tenant, ids: [id] }));
    const doc = docs[0] && readOf(docs[0], tenant);
    return doc?._source === undefined ? null : { source: doc._source, seqNo: doc._seq_no ?? 0, term: doc._primary_term ?? 0 };
  }
}

/** One after the other, each on what the one before has made of it. Whose decision throws is told so, and is not among them any more. */
function decideAll<Source>(changes: Set<Change<Source>>, found: Source | null): { write: Source | null | undefined; carriedOut: () => void } {
  let write: Source | null | undefined;
  const through: (() => void)[] = [];
  for (const change of changes) {
    try {
      const decided = change.decide(write === undefined ? found : write);
      if (decided.write !== undefined) write = decided.write;
      through.push(decided.carriedOut);
    } catch (error) {
      changes.delete(change);
      change.failed(error);
    }
  }
  return { write, carriedOut: () => through.forEach((carriedOut) => carriedOut()) };
}

/** Null: it is not there. A cluster that has just started lacks shards, and even indices: what is in them is not missing. */
export function readOf<Source extends { tenant: string }>(doc: estypes.MgetResponseItem<Source>, tenant: string): estypes.GetGetResult<Source> | null {
  if ('error' in doc) throw refusal(503, doc.error.type);
  return doc.found && doc._source?.tenant === tenant ? doc : null;
}

const same = (left: unknown, right: unknown): boolean => JSON.stringify(left) === JSON.stringify(right);

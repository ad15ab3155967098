/** The connection to a cluster: credentials, tries, and what its errors mean. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, errors, Serializer } from '@elastic/elasticsearch';
import type { ClientOptions, estypes } from '@elastic/elasticsearch';
import { SheafError } from '../../contracts/errors.ts';
import { Names, type Kind } from './schema.ts';

export interface ElasticsearchOptions {
  /** URLs without credentials; or `cloudId`. */
  nodes?: string[];
  cloudId?: string;
  apiKey?: string;
  username?: string;
  password?: string;
  /** PEM file of the authority that signed the cluster's certificate. */
  caFile?: string;
  /** Begins the name of every index, alias and template. */
  prefix: string;
}

/** Pauses before a further try; a trouble that lasts longer is the caller's to wait for. */
const PAUSES_MS = [100, 400, 1_000];
const REQUEST_TIMEOUT_MS = 30_000;
/** Statuses that say: not now. */
const BUSY = new Set([408, 429, 502, 503, 504]);

const WAIT = 'Work goes on by itself when the cluster is back. `GET _cluster/health` says how it is.';

/** A write met a document that is newer, or there already. */
export class Conflict extends Error {
  /** An earlier try of the same write was not answered: the document may be what it wrote. */
  readonly perhapsOwn: boolean;

  constructor(perhapsOwn: boolean) {
    super('version conflict');
    this.perhapsOwn = perhapsOwn;
  }
}

/** An answer that says of some thousand writes that each was written is not taken apart. */
class Answers extends Serializer {
  override deserialize<T>(json: string): T {
    return json.startsWith('{"errors":false,') ? ({ errors: false } as T) : super.deserialize<T>(json);
  }
}

export class Cluster {
  readonly client: Client;
  readonly names: Names;
  readonly #refreshes = new Map<Kind, { running: Promise<void>; next: Promise<void> | null }>();

  /** Rejects with `store_unavailable` where the CA file cannot be read. */
  constructor(options: ElasticsearchOptions) {
    this.names = new Names(options.prefix);
    // Tries are ours to count: the client's own would be hidden from `perhapsOwn`.
    // Secrets leave its errors by being taken out: by default all that a request holds is copied without them, each byte of a bulk body as a property
    // of an object, and a few answers of 429 cost hundreds of megabytes.
    this.client = new Client({ ...addressOf(options), ...credentialsOf(options), ...tlsOf(options), maxRetries: 0, requestTimeout: REQUEST_TIMEOUT_MS, redaction: { type: 'remove' }, Serializer: Answers });
  }

  /** Runs a request, again where the cluster may be better in a moment. Rejects with `Conflict`, or what `translated` says. */
  async call<Answer>(request: () => Promise<Answer>): Promise<Answer> {
    let unanswered = false;
    for (let tried = 0; ; tried++) {
      try {
        return await request();
      } catch (error) {
        const status = error instanceof errors.ResponseError ? error.statusCode : undefined;
        if (status === 409) throw new Conflict(unanswered);
        const pause = PAUSES_MS[tried];
        if (pause === undefined || !(isConnectionTrouble(error) || (status !== undefined && BUSY.has(status)))) throw translated(error);
        await sleep(pause * (0.5 + Math.random()));
        // A gateway's 502 or 504 may hide that the cluster has written.
        unanswered ||= status !== 429;
      }
    }
  }

  /** Makes all that was acknowledged before findable. Calls that come while one runs share the next one. */
  refresh(kind: Kind): Promise<void> {
    const state = this.#refreshes.get(kind);
    if (state?.next) return state.next;
    const run = async (): Promise<void> => {
      const { _shards: shards } = await this.call(() => this.client.indices.refresh({ index: this.names.read(kind) }));
      if (shards !== undefined && shards.failed > 0) throw unavailable('could not make the newest writes findable', WAIT);
    };
    if (state === undefined) {
      const running = run().finally(() => this.#refreshed(kind));
      this.#refreshes.set(kind, { running, next: null });
      return running;
    }
    state.next = state.running.then(() => {}, () => {}).then(() => {
      const running = run().finally(() => this.#refreshed(kind));
      this.#refreshes.set(kind, { running, next: null });
      return running;
    });
    return state.next;
  }

  #refreshed(kind: Kind): void {
    if (this.#refreshes.get(kind)?.next === null) this.#refreshes.delete(kind);
  }

  /** One search that sees every write that was acknowledged before; `tenant` null: of all tenants. */
  async search<Source>(kind: Kind, tenant: string | null, request: Omit<estypes.SearchRequest, 'index' | 'routing'>): Promise<estypes.SearchResponse<Source>> {
    await this.refresh(kind);
    return this.call(() => this.client.search<Source>({ index: this.names.read(kind), ...(tenant !== null && { routing: tenant }), allow_partial_search_results: false, ...request }));
  }
}

function addressOf({ nodes, cloudId }: ElasticsearchOptions): ClientOptions {
  return cloudId === undefined ? { nodes: nodes ?? ['http://127.0.0.1:9200'] } : { cloud: { id: cloudId } };
}

function credentialsOf({ apiKey, username, password }: ElasticsearchOptions): ClientOptions {
  if (apiKey !== undefined) return { auth: { apiKey } };
  return username === undefined ? {} : { auth: { username, password: password ?? '' } };
}

function tlsOf({ caFile }: ElasticsearchOptions): ClientOptions {
  if (caFile === undefined) return {};
  try {
    return { tls: { ca: readFileSync(caFile) } };
  } catch (error) {
    throw new SheafError('store_unavailable', 'The CA file of Elasticsearch cannot be read.', {
      remedy: 'Set ELASTICSEARCH_CA_FILE to a PEM file that the user that runs Sheaf may read.', cause: error,
    });
  }
}

const CERTIFICATE = 'Set ELASTICSEARCH_CA_FILE to the PEM file of the authority that signed its certificate, and use the name in ELASTICSEARCH_URL that the certificate has.';

const isConnectionTrouble = (error: unknown): boolean =>
  error instanceof errors.ConnectionError || error instanceof errors.NoLivingConnectionsError;

/** What an error of the client means for us. Reasons that Elasticsearch gives may quote a document, so only its types are told. */
export function translated(error: unknown): unknown {
  if (error instanceof errors.TimeoutError) return unavailable('did not answer in time', WAIT);
  // The client keeps no more than the message of what went wrong.
  if (error instanceof errors.ConnectionError && /certificate/i.test(error.message)) return unavailable('has a certificate that is not trusted', CERTIFICATE);
  if (isConnectionTrouble(error)) return unavailable('cannot be reached', `Check ELASTICSEARCH_URL and that the cluster runs. ${WAIT}`);
  if (error instanceof errors.DeserializationError) return unavailable('gave an answer that is cut off', WAIT);
  if (!(error instanceof errors.ResponseError)) return error;
  const body: unknown = error.body;
  const type = typeof body === 'object' && body !== null && 'error' in body && typeof body.error === 'object' && body.error !== null && 'type' in body.error
    ? String(body.error.type) : 'error';
  return refusal(error.statusCode ?? 0, type);
}

/** For a status that a whole request, or one document of a bulk request, got. */
export function refusal(status: number, type: string): SheafError {
  // With 503 the cluster has just started and knows its indices in a moment.
  if (type === 'cluster_block_exception' && status !== 503) {
    return unavailable('refuses to write: the index is read-only', 'Free disk space on the cluster, or lift the block of the index. Work goes on by itself then.');
  }
  if (status === 401) return unavailable('does not accept the credentials', 'Set a valid ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD.');
  if (status === 403) return unavailable('does not allow this', 'Give the user or key the rights to read, write, refresh and create the indices of the prefix.');
  if (type === 'index_not_found_exception') return unavailable('lacks an index', 'Start Sheaf again, which creates what is missing; restore a backup if it was deleted.');
  if (BUSY.has(status) || status >= 500) return unavailable(`answers ${status} (${type})`, WAIT);
  return new SheafError('store_refused', `Elasticsearch refuses a request: ${status} (${type}).`, {
    remedy: 'This is a fault in Sheaf or in the index. Compare the mapping of the index with its template.',
  });
}

const unavailable = (what: string, remedy: string): SheafError =>
  new SheafError('store_unavailable', `Elasticsearch ${what}.`, { remedy, place: { part: 'elasticsearch' } });

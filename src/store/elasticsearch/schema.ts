/**
 * The indices: what each holds and how it is searched. Mappings are strict, and whatever comes from a sheet is in JSON
 * strings that nothing indexes, so that neither a thousand headers nor a long cell can break them.
 */
import type { estypes } from '@elastic/elasticsearch';

/** Raised with every change of a mapping or of a document's meaning; `sheaf store migrate` leads from one to the next. */
export const SCHEMA_VERSION = 4;

type Property = estypes.MappingProperty;

const word: Property = { type: 'keyword' };
const number: Property = { type: 'long' };
const decimal: Property = { type: 'double' };
/** Only ever read with the whole document. */
const content: Property = { type: 'keyword', index: false, doc_values: false };

export const KINDS = {
  jobs: {
    tenant: word, id: word, createdAt: word, kind: word, source: word, state: word, tags: word, open: { type: 'boolean' }, resting: { type: 'boolean' },
    endedAt: word, batch: word, dependsOn: word, record: content, idempotency: content,
  },
  plans: { tenant: word, kind: word, id: word, createdAt: word, open: { type: 'boolean' }, record: content },
  'idempotency-keys': { tenant: word, requestHash: content, job: content, pending: content },
  lanes: { tenant: word, source: word, lane: word, generation: number, holder: word, attempt: number },
  queue: { tenant: word, job: word, source: word, lane: word, state: word, priority: number, since: number, body: content },
  places: { tenant: word, body: content },
  // Blocks of page records: see pages.ts.
  pages: { tenant: word, job: word, block: number, body: content },
  events: { tenant: word, job: word, body: content },
  items: {
    tenant: word, source: word, lane: word, row: number, state: word, job: word, attempt: number, tags: word, fence: number,
    updatedAt: { type: 'date', format: 'epoch_millis' }, tries: number, tokens: number, cost: decimal, latencyMs: { type: 'float' },
    // Only of items whose output was kept long enough.
    outputDropped: { type: 'boolean' },
    // False: the row is gone from its sheet.
    present: { type: 'boolean' },
    // Words come split and normalised by domain/search-text.ts: there is nothing left to decide.
    text: { type: 'text', analyzer: 'whitespace' },
    body: content, input: content,
  },
  documents: {
    tenant: word, id: word, createdAt: word, state: word, type: word, owner: word, documentKey: word, sha256: word, size: number, tags: word, bands: word, record: content,
  },
  'document-keys': { tenant: word, body: content },
  // The parts of an upload are in its document.
  uploads: { tenant: word, id: word, owner: word, active: { type: 'boolean' }, size: number, createdAt: word, expiresAt: word, record: content, parts: content },
  sources: { tenant: word, id: word, record: content },
  versions: { tenant: word, source: word, sequence: number, record: content },
  intents: { tenant: word, source: word, job: word, state: word, page: number, row: number, deadline: { type: 'date' }, record: content },
  answers: { tenant: word, writtenAt: number, bytes: number, body: content },
  // Of webhooks.
  deliveries: { tenant: word, job: word, endpoint: word, number, record: content },
  budgets: { tenant: word, body: content },
  'failed-rows': { tenant: word, job: word, row: number, code: word, fingerprint: word, fence: number, body: content },
  summaries: {
    tenant: word, handler: word, state: word, endedAt: { type: 'date' }, queued: number, snapshot: number, rows: number, waiting: number, paused: number, total: number,
    done: number, unchanged: number, failed: number, skipped: number, tokens: number, cost: decimal, bytes: number,
    errors: { type: 'nested', properties: { code: word, rows: number } },
  },
  // Of no tenant.
  workers: { tenant: word, body: content },
  cleanups: { tenant: word, startedAt: word, step: number, body: content },
} as const satisfies Record<string, Record<string, Property>>;

export type Kind = keyof typeof KINDS;
export const ALL_KINDS = Object.keys(KINDS) as Kind[];

/**
 * One shard, a replica where there is a second node. Sheaf's readers refresh what they search, so refreshing by the clock
 * is for others who look into the indices; every second, as is the default, it costs a bulk job a quarter of the server's work.
 * What an operator changes in the template stays changed.
 */
export const SETTINGS: estypes.IndicesIndexSettings = { number_of_shards: 1, auto_expand_replicas: '0-1', refresh_interval: '30s' };

export const mappingsOf = (kind: Kind, version: number): estypes.MappingTypeMapping => ({
  dynamic: 'strict', _meta: { application: 'sheaf', schema: version }, _routing: { required: true }, properties: KINDS[kind],
});

/** What an environment's indices, aliases and templates are called; several environments share a cluster by their prefix. */
export class Names {
  readonly prefix: string;

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  index(kind: Kind, version: number): string {
    return `${this.prefix}-${kind}-v${version}`;
  }

  read(kind: Kind): string {
    return `${this.prefix}-${kind}`;
  }

  write(kind: Kind): string {
    return `${this.prefix}-${kind}-write`;
  }

  get settings(): string {
    return `${this.prefix}-settings`;
  }

  mappings(kind: Kind): string {
    return `${this.prefix}-${kind}-mappings`;
  }
}

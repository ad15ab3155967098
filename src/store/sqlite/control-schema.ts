/**
 * The tables of `control.db`: jobs and what people ask about them. Small, written often, read by the API at every request.
 * As migrations: entry n leads from version n to n + 1 (`user_version`). A released migration is never edited; a change is a new entry.
 */
export const CONTROL_MIGRATIONS = [`
  -- record is the whole JobRecord as JSON; the other columns are drawn from it, so that they cannot disagree.
  CREATE TABLE jobs (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    created_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.createdAt') STORED,
    kind TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.kind') STORED,
    source TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.source') STORED,
    state TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.state') STORED,
    tags TEXT NOT NULL GENERATED ALWAYS AS (record -> '$.tags') STORED,
    open INTEGER NOT NULL GENERATED ALWAYS AS
      (record ->> '$.state' NOT IN ('completed', 'failed', 'cancelled') OR record ->> '$.desired' IS 'deleted') STORED,
    PRIMARY KEY (tenant, id)
  ) STRICT;
  CREATE INDEX jobs_newest ON jobs (tenant, created_at, id);
  CREATE INDEX jobs_open ON jobs (tenant, id) WHERE open = 1;

  CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    job TEXT NOT NULL,
    PRIMARY KEY (tenant, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX idempotency_keys_job ON idempotency_keys (tenant, job);

  CREATE TABLE lanes (
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    lane TEXT NOT NULL,
    generation INTEGER NOT NULL,
    holder TEXT,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (tenant, source, lane)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE pages (
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    page INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    done INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    tried INTEGER NOT NULL,
    faults INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    result TEXT,
    PRIMARY KEY (tenant, job, page)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE events (
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    seq INTEGER NOT NULL,
    dedupe TEXT NOT NULL,
    at TEXT NOT NULL,
    type TEXT NOT NULL,
    message TEXT NOT NULL,
    data TEXT,
    PRIMARY KEY (tenant, job, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX events_dedupe ON events (tenant, job, dedupe);
`, `
  -- Jobs that wait for a place among the running, or have one.
  CREATE TABLE queue (
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    source TEXT NOT NULL,
    lane TEXT NOT NULL,
    priority INTEGER NOT NULL,   -- 1 goes first
    since INTEGER NOT NULL,      -- milliseconds since 1970, UTC
    state TEXT NOT NULL,
    generation INTEGER NOT NULL,
    changed_at INTEGER NOT NULL, -- milliseconds since 1970, UTC
    PRIMARY KEY (tenant, job)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX queue_waiting ON queue (priority, since, job, tenant) WHERE state = 'waiting';
  CREATE INDEX queue_blocked ON queue (tenant, source, lane) WHERE state = 'blocked';
  CREATE INDEX queue_placed ON queue (tenant) WHERE state IN ('offered', 'running');

  -- Open jobs that nothing has to be done about: they wait for their turn, or for another job.
  ALTER TABLE jobs ADD COLUMN resting INTEGER NOT NULL GENERATED ALWAYS AS
    (record ->> '$.desired' IS NULL AND record ->> '$.sequence' > 0
      AND (record ->> '$.state' = 'queued' OR (record ->> '$.state' = 'waiting' AND record ->> '$.cause' IS 'dependency'))) VIRTUAL;
  CREATE INDEX jobs_active ON jobs (tenant, id) WHERE open = 1 AND resting = 0;
  CREATE INDEX jobs_resting ON jobs (tenant, id) WHERE open = 1 AND resting = 1;
`, `
  UPDATE jobs SET record = json_insert(record, '$.runAt', NULL, '$.dependsOn', json_array(), '$.onFailure', 'cancel', '$.batch', NULL, '$.schedule', NULL);
  ALTER TABLE jobs ADD COLUMN batch TEXT GENERATED ALWAYS AS (record ->> '$.batch') VIRTUAL;
  CREATE INDEX jobs_batch ON jobs (tenant, batch, created_at, id) WHERE batch IS NOT NULL;

  -- Drawn from the dependsOn of jobs; what depends on a removed job is still found.
  CREATE TABLE dependencies (
    tenant TEXT NOT NULL,
    dependency TEXT NOT NULL,
    job TEXT NOT NULL,
    PRIMARY KEY (tenant, dependency, job)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER job_depends AFTER INSERT ON jobs BEGIN
    INSERT OR IGNORE INTO dependencies SELECT new.tenant, value, new.id FROM json_each(new.record, '$.dependsOn');
  END;
  CREATE TRIGGER job_depends_no_more AFTER DELETE ON jobs BEGIN
    DELETE FROM dependencies WHERE tenant = old.tenant AND job = old.id
      AND dependency IN (SELECT value FROM json_each(old.record, '$.dependsOn'));
  END;

  -- Schedules, batches and actions on many jobs: record is the whole PlanRecord as JSON.
  CREATE TABLE plans (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    created_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.createdAt') STORED,
    open INTEGER NOT NULL GENERATED ALWAYS AS (record ->> '$.open') STORED,
    PRIMARY KEY (tenant, kind, id)
  ) STRICT;
  CREATE INDEX plans_newest ON plans (tenant, kind, created_at, id);
  CREATE INDEX plans_open ON plans (tenant, kind, id) WHERE open = 1;
`, `
  ALTER TABLE jobs ADD COLUMN completed_at TEXT GENERATED ALWAYS AS (record ->> '$.completedAt') VIRTUAL;
  CREATE INDEX jobs_ended ON jobs (completed_at, tenant, id) WHERE open = 0;
  CREATE INDEX jobs_state ON jobs (state, tenant);
  CREATE INDEX jobs_oldest ON jobs (state, created_at, id);

  -- What handlers paid; NULL where nothing is known.
  ALTER TABLE pages ADD COLUMN tokens INTEGER;
  ALTER TABLE pages ADD COLUMN cost REAL;

  -- record is the whole JobSummary as JSON. A job's summary outlives the job.
  CREATE TABLE summaries (
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    record TEXT NOT NULL,
    handler TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.handler') STORED,
    ended_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.endedAt') STORED,
    attempt INTEGER NOT NULL GENERATED ALWAYS AS (record ->> '$.attempt') STORED,
    sequence INTEGER NOT NULL GENERATED ALWAYS AS (record ->> '$.sequence') STORED,
    PRIMARY KEY (tenant, job)
  ) STRICT;
  CREATE INDEX summaries_ended ON summaries (ended_at);
  CREATE INDEX summaries_of_tenant ON summaries (tenant, ended_at);

  CREATE TABLE workers (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- record is the whole CleanupReport as JSON.
  CREATE TABLE cleanups (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    started_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.startedAt') STORED,
    step INTEGER NOT NULL GENERATED ALWAYS AS (record ->> '$.step') STORED
  ) STRICT;
`, `
  -- As jobs: the record, and what lists filter by drawn from it.
  CREATE TABLE documents (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    created_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.createdAt') STORED,
    state TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.state') STORED,
    type TEXT GENERATED ALWAYS AS (record ->> '$.type') STORED,
    owner TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.owner') STORED,
    document_key TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.documentKey') STORED,
    sha256 TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.sha256') STORED,
    size INTEGER NOT NULL GENERATED ALWAYS AS (record ->> '$.size') STORED,
    tags TEXT NOT NULL GENERATED ALWAYS AS (record -> '$.tags') STORED,
    PRIMARY KEY (tenant, id)
  ) STRICT;
  CREATE INDEX documents_newest ON documents (tenant, created_at, id);
  CREATE INDEX documents_sha256 ON documents (tenant, sha256, created_at, id);
  CREATE INDEX documents_key ON documents (tenant, document_key, created_at, id);

  CREATE TABLE document_bands (
    tenant TEXT NOT NULL,
    band TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, band, document)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX document_bands_document ON document_bands (tenant, document);

  -- Versions given so far: the number of a deleted one is never given again.
  CREATE TABLE document_keys (
    tenant TEXT NOT NULL,
    document_key TEXT NOT NULL,
    versions INTEGER NOT NULL,
    PRIMARY KEY (tenant, document_key)
  ) STRICT, WITHOUT ROWID;
`, `
  -- record is the whole UploadRecord as JSON.
  CREATE TABLE uploads (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    owner TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.owner') STORED,
    created_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.createdAt') STORED,
    expires_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.expiresAt') STORED,
    active INTEGER NOT NULL GENERATED ALWAYS AS (record ->> '$.state' IN ('open', 'completing')) STORED,
    PRIMARY KEY (tenant, id)
  ) STRICT;
  CREATE INDEX uploads_active ON uploads (tenant, created_at, id) WHERE active = 1;
  CREATE INDEX uploads_expiry ON uploads (expires_at);

  CREATE TABLE upload_parts (
    tenant TEXT NOT NULL,
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    md5 TEXT NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (tenant, upload, number)
  ) STRICT, WITHOUT ROWID;
`, `
  -- record is the whole SourceRecord, or VersionRecord, as JSON.
  CREATE TABLE sources (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE versions (
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, source, sequence)
  ) STRICT, WITHOUT ROWID;
`, `
  -- Rows of the page that nothing was paid for, because the same was asked before; NULL where there are none.
  ALTER TABLE pages ADD COLUMN cached INTEGER;

  -- record is the whole IntentRecord as JSON. An answer may lie in it, so it is read by its key alone.
  CREATE TABLE intents (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    source TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.source') STORED,
    job TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.job') STORED,
    state TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.state') STORED,
    page INTEGER NOT NULL GENERATED ALWAYS AS (record ->> '$.page') STORED,
    row INTEGER NOT NULL GENERATED ALWAYS AS (record ->> '$.row') STORED,
    deadline TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.deadline') STORED,
    PRIMARY KEY (tenant, id)
  ) STRICT;
  CREATE INDEX intents_of_job ON intents (tenant, job, state, page, row, deadline);
  CREATE INDEX intents_of_source ON intents (tenant, source);

  -- Rows of the page that wait for a service.
  ALTER TABLE pages ADD COLUMN submitted INTEGER NOT NULL DEFAULT 0;

  CREATE TABLE budgets (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
  ) STRICT, WITHOUT ROWID;

  -- What webhooks were told; record is the whole DeliveryRecord as JSON.
  CREATE TABLE deliveries (
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    number INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, job, endpoint, number)
  ) STRICT, WITHOUT ROWID;
`];

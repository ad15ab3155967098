/**
 * The tables of `ledger.db`: rows. Large, written in bulk by workers; a file of its own, so that its writers never keep the API waiting.
 * As migrations: entry n leads from version n to n + 1 (`user_version`). A released migration is never edited; a change is a new entry.
 */
export const LEDGER_MIGRATIONS = [`
  -- AUTOINCREMENT: the number of a removed lane is never given to another.
  CREATE TABLE lanes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    lane TEXT NOT NULL,
    UNIQUE (tenant, source, lane)
  ) STRICT;

  CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    lane INTEGER NOT NULL,
    key TEXT NOT NULL,
    row INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    state TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    handler_hash TEXT NOT NULL,
    job TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    tokens INTEGER,
    cost REAL,
    latency_ms REAL NOT NULL,
    updated_at INTEGER NOT NULL, -- milliseconds since 1970, UTC
    output TEXT,                 -- JSON; NULL is null
    error TEXT,                  -- JSON of a RowFailure
    input TEXT NOT NULL,         -- JSON of a RowInput
    UNIQUE (lane, key)
  ) STRICT;

  -- rowid is the item's id; the text itself is not kept. Words come split by domain/search-text.ts.
  CREATE VIRTUAL TABLE item_text USING fts5 (text, content = '', contentless_delete = 1, tokenize = 'ascii');
  -- Fewer merges while rows pour in (a tenth of the time); a search looks into a few more segments.
  INSERT INTO item_text (item_text, rank) VALUES ('automerge', 8);
  -- With the default 10, writing changed rows again takes three times as long; up to two fifths may be of old texts.
  INSERT INTO item_text (item_text, rank) VALUES ('deletemerge', 40);

  CREATE TABLE failed_rows (
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    row INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    key TEXT,
    code TEXT NOT NULL,
    error TEXT NOT NULL,
    input TEXT NOT NULL,
    PRIMARY KEY (tenant, job, row)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX failed_rows_code ON failed_rows (tenant, job, code, row);

  -- Kept by the triggers: every status of a job asks for it, and counting a million rows takes a tenth of a second.
  CREATE TABLE failed_codes (
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    code TEXT NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (tenant, job, code)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER failed_row_added AFTER INSERT ON failed_rows BEGIN
    INSERT INTO failed_codes VALUES (new.tenant, new.job, new.code, 1) ON CONFLICT DO UPDATE SET rows = rows + 1;
  END;
  CREATE TRIGGER failed_row_changed AFTER UPDATE OF code ON failed_rows WHEN old.code <> new.code BEGIN
    UPDATE failed_codes SET rows = rows - 1 WHERE tenant = old.tenant AND job = old.job AND code = old.code;
    DELETE FROM failed_codes WHERE tenant = old.tenant AND job = old.job AND code = old.code AND rows = 0;
    INSERT INTO failed_codes VALUES (new.tenant, new.job, new.code, 1) ON CONFLICT DO UPDATE SET rows = rows + 1;
  END;
  CREATE TRIGGER failed_row_removed AFTER DELETE ON failed_rows BEGIN
    UPDATE failed_codes SET rows = rows - 1 WHERE tenant = old.tenant AND job = old.job AND code = old.code;
    DELETE FROM failed_codes WHERE tenant = old.tenant AND job = old.job AND code = old.code AND rows = 0;
  END;
`, `
  -- Of the job that wrote the item last: a JSON array; NULL where it has none.
  ALTER TABLE items ADD COLUMN tags TEXT;
`, `
  -- Passages are items of a source \`document:<key>\`, and each try at indexing has a lane of its own. Search finds the lane that
  -- stands here, so that one write shows a whole version in place of another.
  CREATE TABLE published (
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    lane TEXT NOT NULL,
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (tenant, source)
  ) STRICT, WITHOUT ROWID;
`, `
  -- 0: the row is gone from its sheet.
  ALTER TABLE items ADD COLUMN present INTEGER NOT NULL DEFAULT 1;
`, `
  -- See domain/fingerprint.ts; of rows that failed before it was kept, the code.
  ALTER TABLE failed_rows ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
  UPDATE failed_rows SET fingerprint = code;
  CREATE INDEX failed_rows_fingerprint ON failed_rows (tenant, job, fingerprint, row);
`];

/**
 * The tables of `answers.db`: answers that were paid for, found by hashes, so that they are written all over the file.
 * As migrations: entry n leads from version n to n + 1 (`user_version`). A released migration is never edited; a change is a new entry.
 */
export const ANSWER_MIGRATIONS = [`
  CREATE TABLE answers (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    output TEXT NOT NULL,        -- JSON
    tokens INTEGER,
    cost REAL,
    written_at INTEGER NOT NULL, -- milliseconds since 1970, UTC
    PRIMARY KEY (tenant, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX answers_written ON answers (written_at);
`];

/** One SQLite file that several processes have open at once: opening, migrating, transactions, and what its errors mean. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { SheafError } from '../../contracts/errors.ts';

/** How long SQLite itself waits for a lock: it blocks the whole process, so not for long. */
const LOCK_WAIT_MS = 50;
/** How long we wait for a lock, a pause at a time and with the process free to do other things. */
const LOCK_LIMIT_MS = 30_000;
const LOCK_PAUSE_MS = 20;

const FULL = 'Free some space on the disk; what was stored stays valid and work goes on by itself.';
const DAMAGED = 'Stop Sheaf and restore the file from a backup, or move it away to begin with an empty one.';

/** SQLite's primary result codes that are about the file and not about our statements. */
const TROUBLES: Record<string, { what: string; remedy: string }> = {
  BUSY: { what: 'stayed locked by another process', remedy: 'See which process holds it; a hanging one must be ended.' },
  LOCKED: { what: 'stayed locked by another process', remedy: 'See which process holds it; a hanging one must be ended.' },
  FULL: { what: 'cannot grow because the disk is full', remedy: FULL },
  READONLY: { what: 'cannot be written', remedy: 'Give the user that runs Sheaf the right to write the file and its folder.' },
  PERM: { what: 'may not be accessed', remedy: 'Give the user that runs Sheaf the right to read and write the file and its folder.' },
  CANTOPEN: { what: 'cannot be opened', remedy: 'Check that its folder exists and that the user that runs Sheaf may write there.' },
  IOERR: { what: 'cannot be read or written: the disk reports an error', remedy: 'Check the disk and its free space, then start again.' },
  CORRUPT: { what: 'is damaged', remedy: DAMAGED },
  NOTADB: { what: 'is not a database', remedy: DAMAGED },
  NOMEM: { what: 'cannot be used for lack of memory', remedy: 'Give the process more memory.' },
};

const primaryCode = (error: unknown): string | undefined =>
  error instanceof Sqlite.SqliteError ? error.code.split('_')[1] : undefined;

function translated(error: unknown, file: string): unknown {
  const trouble = TROUBLES[primaryCode(error) ?? ''];
  if (trouble === undefined) return error;
  return new SheafError('store_unavailable', `The database file ${path.basename(file)} ${trouble.what}.`, {
    remedy: trouble.remedy, place: { part: path.basename(file) }, cause: error,
  });
}

export class SqliteFile {
  /** For preparing statements; they run inside `read` and `write` only. */
  readonly db: Sqlite.Database;
  readonly #file: string;

  private constructor(db: Sqlite.Database, file: string) {
    this.db = db;
    this.#file = file;
  }

  /** Rejects with `schema_too_new`, `store_unavailable`. */
  static async open(file: string, migrations: readonly string[], cacheKib: number): Promise<SqliteFile> {
    try {
      await fs.mkdir(path.dirname(file), { recursive: true });
    } catch (error) {
      throw new SheafError('store_unavailable', 'The folder of the databases cannot be made.', {
        remedy: 'Set SHEAF_HOME to a folder that the user that runs Sheaf may write.', cause: error,
      });
    }
    let db: Sqlite.Database;
    try {
      db = new Sqlite(file, { timeout: LOCK_WAIT_MS });
    } catch (error) {
      throw translated(error, file);
    }
    const opened = new SqliteFile(db, file);
    try {
      await opened.#prepare(migrations, cacheKib);
      return opened;
    } catch (error) {
      db.close();
      throw error;
    }
  }

  async #prepare(migrations: readonly string[], cacheKib: number): Promise<void> {
    // Of a new file: what bulk writes log and look up is a twentieth less work than in pages of 4 KiB.
    this.db.pragma('page_size = 8192');
    const mode = await this.read(() => this.db.pragma('journal_mode = WAL', { simple: true }));
    if (mode !== 'wal') {
      throw new SheafError('store_unavailable', `The file system of ${path.basename(this.#file)} cannot share it between processes.`, {
        remedy: 'Set SHEAF_HOME to a folder on a local disk.',
      });
    }
    // FULL: a commit is on the disk when it returns. A power cut loses nothing that was acknowledged, and the two files agree.
    this.db.pragma('synchronous = FULL');
    this.db.pragma(`cache_size = -${cacheKib}`);
    // 64 MB of log before it is folded in: pages that bulk writes touch again and again are then copied once.
    this.db.pragma('wal_autocheckpoint = 8000');
    // Only an older file is written, so that opening waits for no writer.
    if (await this.read(() => this.#knownVersion(migrations)) === migrations.length) return;
    await this.write(() => {
      const version = this.#knownVersion(migrations);
      for (const migration of migrations.slice(version)) this.db.exec(migration);
      this.db.pragma(`user_version = ${migrations.length}`);
    });
  }

  #knownVersion(migrations: readonly string[]): number {
    const version = Number(this.db.pragma('user_version', { simple: true }));
    if (version <= migrations.length) return version;
    throw new SheafError('schema_too_new',
      `The database file ${path.basename(this.#file)} has schema version ${version}; this version of Sheaf knows up to ${migrations.length}.`,
      { remedy: 'Run the version of Sheaf that wrote it, or a newer one.' });
  }

  read<T>(work: () => T): Promise<T> {
    return this.#whenFree(work);
  }

  /** One transaction: all of `work` or nothing. `work` may run again when the file was locked. */
  write<T>(work: () => T): Promise<T> {
    return this.#whenFree(() => {
      this.db.exec('BEGIN IMMEDIATE');
      try {
        const answer = work();
        this.db.exec('COMMIT');
        return answer;
      } catch (error) {
        if (this.db.inTransaction) this.db.exec('ROLLBACK');
        throw error;
      }
    });
  }

  async #whenFree<T>(work: () => T): Promise<T> {
    const until = Date.now() + LOCK_LIMIT_MS;
    for (;;) {
      if (!this.db.open) {
        throw new SheafError('store_unavailable', 'The store was closed because the process is stopping.', { remedy: 'Start Sheaf again.' });
      }
      try {
        return work();
      } catch (error) {
        if (primaryCode(error) !== 'BUSY' || Date.now() > until) throw translated(error, this.#file);
      }
      // At random, so that two waiting processes do not keep meeting.
      await sleep(LOCK_PAUSE_MS * (0.5 + Math.random()));
    }
  }

  /** Resolves when the file can be read and a change of it reaches the disk. */
  async check(): Promise<void> {
    await this.write(() => {
      const version = Number(this.db.pragma('user_version', { simple: true }));
      this.db.pragma(`user_version = ${version}`);
    });
  }

  close(): void {
    this.db.close();
  }
}

/**
 * A lock between processes that nobody has to clean up: an exclusive transaction on a small SQLite file. The system
 * drops it when its process ends, however it ends; there are no numbers of dead processes to doubt.
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';

/** Gives the lock back. */
export type Unlock = () => void;

/** Two that reach for it at the same moment step back from each other; within this time one of them has it. */
const PATIENCE_MS = 1_000;

/** Null when another process holds it. `patienceMs`: how long this process stands still for it. */
export function tryLock(file: string, patienceMs = PATIENCE_MS): Unlock | null {
  mkdirSync(path.dirname(file), { recursive: true });
  const database = new Database(file, { timeout: patienceMs });
  try {
    database.exec('BEGIN EXCLUSIVE');
    return () => database.close();
  } catch (error) {
    database.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) return null;
    throw error;
  }
}

/** Waits for it; `onWait` is called once when there is something to wait for. */
export async function lock(file: string, onWait: () => void): Promise<Unlock> {
  let unlock = tryLock(file);
  if (unlock === null) onWait();
  while (unlock === null) {
    await sleep(100);
    unlock = tryLock(file);
  }
  return unlock;
}

/**
 * A thread in each child process: its main thread may be in a parser that never comes back. Kills the process when it has
 * too much memory, or when nobody is left to answer to.
 */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { MEMORY_MARK } from './reader-protocol.ts';

const EVERY_MS = 50;

const { memoryBytes, parent } = workerData as { memoryBytes: number; parent: number };
setInterval(() => {
  const full = process.memoryUsage.rss() > memoryBytes;
  if (!full && process.ppid === parent) return;
  if (full) writeSync(2, `${MEMORY_MARK}\n`);
  process.kill(process.pid, 'SIGKILL');
}, EVERY_MS);

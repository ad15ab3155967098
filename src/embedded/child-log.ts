/** The log file of one child process: the child writes to it by itself, so that the file outlives everybody else. */
import { closeSync, copyFileSync, mkdirSync, openSync, readSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';

/** Above this the file moves to `NAME.log.1`, which holds the last but one. */
const LARGEST_BYTES = 20 * 2 ** 20;
const TAIL_BYTES = 16 * 1024;

export interface ChildLog {
  file: string;
  /** A descriptor to append by; the caller closes it. */
  open(): number;
  /** The last lines since `open` was called. */
  lastLines(count: number): string[];
  rotateIfLarge(): void;
}

export function childLog(folder: string, name: string): ChildLog {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${name}.log`);
  let openedAt = 0;

  function size(): number {
    return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  }

  return {
    file,
    open() {
      openedAt = size();
      return openSync(file, 'a');
    },
    lastLines(count) {
      const end = size();
      const start = Math.max(openedAt, end - TAIL_BYTES);
      const buffer = Buffer.alloc(Math.max(0, end - start));
      const descriptor = openSync(file, 'r');
      try {
        readSync(descriptor, buffer, 0, buffer.length, start);
      } finally {
        closeSync(descriptor);
      }
      return buffer.toString('utf8').split('\n').filter((line) => line.trim() !== '').slice(-count);
    },
    rotateIfLarge() {
      if (size() <= LARGEST_BYTES) return;
      // The child goes on appending to the same file, so it is copied and emptied, not renamed.
      copyFileSync(file, `${file}.1`);
      truncateSync(file);
      openedAt = 0;
    },
  };
}

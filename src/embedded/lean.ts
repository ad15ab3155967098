import { fileURLToPath } from 'node:url';

/**
 * How Node is started so that a process stays small. V8 lets garbage grow with the heap it may have (by default half of
 * the machine's memory) before it collects, and glibc keeps an arena a thread: measured with a 1,000,000-row job, a
 * worker's peak was 403 MB without these and 273 MB with them, at the same speed. One helper thread of the collector, not four:
 * they wait for each other more than they help (8.5 s of CPU in that job, 4 s with one).
 */
export const LEAN_NODE_FLAGS = ['--max-old-space-size=1024', '--max-semi-space-size=4', '--v8-pool-size=1'];
/**
 * Beside these, a worker's: what is made of a few hundred rows is dead before eight megabytes are full; with four, a job takes a twentieth longer.
 * Not among the flags of all, because NODE_OPTIONS may not have the first.
 */
export const WORKER_NODE_FLAGS = ['--min-semi-space-size=8', '--max-semi-space-size=8'];
/** Pieces larger than a chunk of what is packed go back to the system when they are freed; glibc would raise these limits to 32 and 64 MB by itself, and keep a page's buffers between others. */
export const LEAN_ENVIRONMENT = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '327680', MALLOC_TRIM_THRESHOLD_: '4194304' };

/** What has been compiled once need not be again: without the compiler of TypeScript a process is 13 MB smaller, and starts sooner. */
export const COMPILED = { NODE_COMPILE_CACHE: fileURLToPath(new URL('../../node_modules/.cache/sheaf/compiled', import.meta.url)) };

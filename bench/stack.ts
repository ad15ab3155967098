/** A stack as `sheaf start` runs it, in a folder of its own: embedded, unless the environment names other stores. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JobAnswer } from '../src/contracts/job-api.ts';
import { createClient, type Client } from '../src/cli/client.ts';
import { CommandFailure } from '../src/cli/failure.ts';
import { readConfig } from '../src/config.ts';
import { readStackFile } from '../src/embedded/stack-file.ts';
import { startStack } from '../src/embedded/stack.ts';

export interface BenchStack {
  client: Client;
  temporal: string;
  workerPid: number | undefined;
  /** Creates a job (at `path`: of a source, say) and waits for its end. Answers it and the seconds from the request to the end that the API shows. */
  run(body: object, path?: string): Promise<{ job: JobAnswer; seconds: number }>;
  /** Address of the API. */
  url: string;
  /** Most memory that the worker has had since `forgetPeak`, in bytes. Linux only; NaN elsewhere. */
  workerPeak(): Promise<number>;
  /** The same of the API, and what it has now. */
  apiMemory(): Promise<{ peak: number; now: number }>;
  forgetPeak(): Promise<void>;
  /** Seconds of CPU that the worker has used so far, all threads. Linux only; NaN elsewhere. */
  workerCpu(): Promise<number>;
  stop(): Promise<void>;
}

/** As `sheaf job watch` asks. */
const ASK_MS = 1_000;
/** Clock ticks of /proc in a second: the same on every Linux that Node runs on. */
const TICKS = 100;

/** `more`: environment beside the usual. */
export async function benchStack(folder: string, name: string, inputs: string, more: Record<string, string> = {}): Promise<BenchStack> {
  const home = path.join(folder, name);
  const environment = { SHEAF_STORE: 'sqlite', SHEAF_BLOBS: 'filesystem', SHEAF_HOME: home, SHEAF_API_PORT: '0', SHEAF_TEMPORAL_PORT: '0', SHEAF_TEMPORAL_UI_PORT: '0', SHEAF_INPUT_DIRS: inputs, SHEAF_HANDLER_DIRS: inputs, SHEAF_LOG_LEVEL: 'warn', ...more };
  Object.assign(process.env, environment);
  const stack = await startStack(readConfig(environment), { say: () => {}, stop: new AbortController().signal, kill: new AbortController().signal });
  const client = createClient({ url: stack.api });
  const children = readStackFile(home)?.children;
  const proc = (child: string, file: string): string => `/proc/${children?.[child]?.pid}/${file}`;
  const memory = async (child: string, field: 'VmHWM' | 'VmRSS'): Promise<number> => {
    const status = await readFile(proc(child, 'status'), 'utf8').catch(() => '');
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? NaN) * 1024;
  };
  return {
    client, url: stack.api, temporal: stack.temporal, workerPid: children?.['worker']?.pid,
    async run(body, at = '/jobs') {
      const startedAt = Date.now();
      let job = await client.call<JobAnswer>('POST', at, { body });
      while (job.completedAt === null) {
        // The time is the record's.
        await new Promise((resolve) => setTimeout(resolve, ASK_MS));
        job = await client.call<JobAnswer>('GET', `/jobs/${job.id}`).catch((error: unknown) => {
          // It too asks again where the store cannot answer for a moment.
          if (error instanceof CommandFailure && error.problem.status === 503) return job;
          throw error;
        });
      }
      if (job.state !== 'completed' || job.progress.failed > 0) throw new Error(`The job ended ${job.state}: ${JSON.stringify(job.error ?? job.progress)}`);
      return { job, seconds: (Date.parse(job.completedAt) - startedAt) / 1000 };
    },
    workerPeak: () => memory('worker', 'VmHWM'),
    apiMemory: async () => ({ peak: await memory('api', 'VmHWM'), now: await memory('api', 'VmRSS') }),
    async forgetPeak() {
      for (const child of ['worker', 'api']) await writeFile(proc(child, 'clear_refs'), '5').catch(() => {});
    },
    async workerCpu() {
      const stat = await readFile(proc('worker', 'stat'), 'utf8').catch(() => '');
      // After the name in brackets, which may hold spaces: user and system time are the 12th and 13th from there.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11] ?? NaN) + Number(fields[12] ?? NaN)) / TICKS;
    },
    stop: () => stack.stop(),
  };
}

/** Whether a process that was written down still is that process: numbers are given out again, start times are not. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export interface ProcessIdentity {
  pid: number;
  /** Opaque: when it started, as the system tells it. */
  started: string;
}

/** Null when there is no such process. */
export async function identify(pid: number): Promise<ProcessIdentity | null> {
  const started = await startOf(pid).catch(() => '');
  return started === '' ? null : { pid, started };
}

/** Ends a process that is still the one written down: asks, and after so many milliseconds does not ask. */
export async function endProcess(written: ProcessIdentity, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  let asked = false;
  while ((await identify(written.pid))?.started === written.started) {
    if (!asked) signal(written.pid, 'SIGTERM');
    if (performance.now() > deadline) signal(written.pid, 'SIGKILL');
    asked = true;
    await sleep(100);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

async function startOf(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // proc(5): after the command in parentheses, which may hold anything; the 3rd field is the state, the 22nd the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return '';
    return `${(await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()} ${fields[19]}`;
  }
  const [command, ...args] = process.platform === 'win32'
    ? ['powershell', '-NoProfile', '-Command', `(Get-Process -Id ${pid}).StartTime.Ticks`]
    : ['ps', '-o', 'lstart=', '-p', String(pid)];
  return (await promisify(execFile)(command as string, args)).stdout.trim();
}

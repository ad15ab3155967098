// Runs a program in the foreground in place of this one.
import { spawn } from 'node:child_process';

/** Resolves with its exit code. It gets this process's streams and signals, and learns over IPC when this process is gone. */
export function runOn(command, args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
    const forward = (signal) => child.kill(signal);
    // A terminal sends SIGINT and SIGHUP to the whole group as well; whoever sends them to this process alone means the child.
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      for (const one of signals) process.off(one, forward);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}

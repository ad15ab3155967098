/**
 * A real clamd with one signature of its own, that of the EICAR test file: the one that SHEAF_TEST_CLAMAV names (with
 * whatever signatures it has), else Debian's. It listens on a socket and on a port of loopback, and ends with the process that started it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { clamdAddress, scannerVersion } from '../../src/documents/scan.ts';
import { freePort } from '../../src/embedded/free-port.ts';
import { installedClamd } from './clamav/install.ts';

export interface Clamd {
  /** As SHEAF_CLAMAV takes it. */
  socket: string;
  tcp: string;
  /** Bytes that it takes of a stream. */
  maxStream: number;
  stop(): Promise<void>;
  /** After `stop`, at the same addresses. */
  start(): Promise<void>;
  /** Ends it and removes its files. */
  remove(): Promise<void>;
}

const START_LIMIT_MS = 60_000;
const MAX_STREAM = 8 * 2 ** 20;

/** The harmless file that every scanner knows (eicar.org), put together so that none finds it in this one. */
export const EICAR = Buffer.from(['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-ANTIVIRUS', '-TEST-FILE!$H+H*'].join(''));

/** Rejects with an error that says what is missing. */
export async function startClamd(): Promise<Clamd> {
  const given = process.env['SHEAF_TEST_CLAMAV'];
  if (given) {
    const nothing = (): Promise<void> => Promise.resolve();
    return { socket: given, tcp: given, maxStream: Infinity, stop: nothing, start: nothing, remove: nothing };
  }
  const program = await installedClamd();
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-clamd-'));
  const [socket, port, signatures] = [path.join(folder, 'clamd.sock'), await freePort(), path.join(folder, 'signatures')];
  await mkdir(signatures);
  await writeFile(path.join(signatures, 'local.ndb'), `Eicar-Test-Signature:0:*:${EICAR.toString('hex')}\n`);
  const config = path.join(folder, 'clamd.conf');
  await writeFile(config, [
    'Foreground yes', `DatabaseDirectory ${signatures}`, `TemporaryDirectory ${folder}`, `LocalSocket ${socket}`, 'FixStaleSocket yes', `TCPSocket ${port}`, 'TCPAddr 127.0.0.1',
    `StreamMaxLength ${MAX_STREAM}`, 'MaxThreads 4', 'ConcurrentDatabaseReload no', '',
  ].join('\n'));
  let child: ChildProcess | null = null;

  const clamd: Clamd = {
    socket, tcp: `127.0.0.1:${port}`, maxStream: MAX_STREAM,
    async start() {
      const started = spawn(process.execPath, [fileURLToPath(new URL('tethered.mjs', import.meta.url)), program, '--config-file', config], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
      child = started;
      let said = '';
      started.stderr?.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-2_000); });
      for (const until = Date.now() + START_LIMIT_MS; ; await sleep(100)) {
        if (started.exitCode !== null || Date.now() > until) throw new Error(`clamd did not start:\n${said}`);
        if (await scannerVersion(clamdAddress(socket)).then(() => true, () => false)) return;
      }
    },
    async stop() {
      const running = child;
      child = null;
      if (running === null || running.exitCode !== null) return;
      running.disconnect();
      await once(running, 'exit');
    },
    async remove() {
      await clamd.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await clamd.start();
  return clamd;
}

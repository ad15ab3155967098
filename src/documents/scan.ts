/** Malware scan by a ClamAV daemon (clamd), over a Unix socket or TCP, with its INSTREAM command. */
import { once } from 'node:events';
import net from 'node:net';
import type { Readable } from 'node:stream';
import { SheafError } from '../contracts/errors.ts';

/** `infected` names the signature. */
export type ScanResult = { clean: true } | { clean: false; signature: string };

/** Bytes of one piece of the stream; clamd takes any size. */
const PIECE_BYTES = 64 * 1024;
/** Without an answer or progress for so long, clamd counts as away. */
const IDLE_MS = 120_000;

/**
 * Where clamd listens: an absolute path of its socket, or `host:port`. Throws a plain error that says how it should look.
 */
export function clamdAddress(text: string): net.NetConnectOpts {
  const unix = /^(?:unix:(?:\/\/)?)?(\/.+)$/.exec(text)?.[1];
  if (unix !== undefined) return { path: unix };
  const [, host, port] = /^(?:tcp:\/\/)?(\[[\da-f:.]+\]|[^:/\s]+):(\d{1,5})$/i.exec(text) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) throw new Error('must be the path of a socket, such as /run/clamav/clamd.ctl, or host:port');
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

const unavailable = (why: string, cause?: unknown): SheafError =>
  new SheafError('scanner_unavailable', `The malware scanner ${why}`, { remedy: 'Check that clamd runs and that SHEAF_CLAMAV is its address', cause });

/**
 * Rejects with `scanner_unavailable` (retryable) when clamd cannot be reached or does not finish: that is never "clean".
 * Rejects with `scan_refused` when the stream is longer than clamd's StreamMaxLength.
 */
export async function scanFile(address: net.NetConnectOpts, stream: Readable, signal?: AbortSignal): Promise<ScanResult> {
  const socket = net.connect(address);
  const abort = (): void => void socket.destroy(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
  signal?.addEventListener('abort', abort, { once: true });
  socket.setTimeout(IDLE_MS, () => socket.destroy(new Error(`did not answer for ${IDLE_MS / 1000} s`)));
  const answer = reply(socket);
  // It is awaited below; until then its failure is the write's.
  answer.catch(() => undefined);
  try {
    signal?.throwIfAborted();
    await once(socket, 'connect');
    socket.write('zINSTREAM\0');
    // clamd may answer, and close, before it has read everything: a limit, or a virus at the beginning.
    await Promise.race([send(socket, stream), answer]).catch(() => {
      if (stream.errored) throw stream.errored;
    });
    return verdict(await answer);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof SheafError || error === stream.errored) throw error;
    throw unavailable(error instanceof Error && 'code' in error ? `cannot be reached (${String(error.code)})` : 'did not finish', error);
  } finally {
    signal?.removeEventListener('abort', abort);
    stream.destroy();
    socket.destroy();
  }
}

async function send(socket: net.Socket, stream: Readable): Promise<void> {
  const write = async (bytes: Buffer): Promise<void> => {
    if (!socket.write(bytes)) await once(socket, 'drain');
  };
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      // An answer that has come is read first: a write after clamd has closed would lose it.
      await new Promise(setImmediate);
      const piece = chunk.subarray(at, at + PIECE_BYTES);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(piece.length);
      await write(Buffer.concat([length, piece]));
    }
  }
  await write(Buffer.alloc(4));
}

/** All that clamd says, up to the end or its NUL. */
async function reply(socket: net.Socket): Promise<string> {
  let said = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    said += chunk.toString();
    if (said.includes('\0') || said.length > 10_000) break;
  }
  return said.replace(/\0[\s\S]*$/, '').trim();
}

function verdict(said: string): ScanResult {
  const [, signature] = /^stream: (.+) FOUND$/.exec(said) ?? [];
  if (signature !== undefined) return { clean: false, signature };
  if (said === 'stream: OK') return { clean: true };
  if (/size limit exceeded/i.test(said)) {
    throw new SheafError('scan_refused', "The file is larger than the malware scanner takes", { remedy: "Raise clamd's StreamMaxLength and MaxFileSize" });
  }
  throw unavailable(said === '' ? 'closed the connection without an answer' : 'answered with an error', said);
}

/** Whether clamd answers, and its version. Rejects with `scanner_unavailable`. */
export async function scannerVersion(address: net.NetConnectOpts): Promise<string> {
  const socket = net.connect(address);
  socket.setTimeout(10_000, () => socket.destroy(new Error('did not answer')));
  try {
    await once(socket, 'connect');
    socket.write('zVERSION\0');
    return await reply(socket);
  } catch (error) {
    throw unavailable('cannot be reached', error);
  } finally {
    socket.destroy();
  }
}

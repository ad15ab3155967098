import net from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { clamdAddress, scanFile, scannerVersion } from '../../src/documents/scan.ts';
import { EICAR, startClamd } from '../servers/clamav.ts';
import { orMissing } from '../servers/missing.ts';
import { zip } from './source-material.ts';

const clamd = await orMissing('the scan by clamd', startClamd());

const stream = (...chunks: Buffer[]): Readable => Readable.from(chunks, { objectMode: false });

describe('addresses of clamd', () => {
  test('a socket by its path, a host with its port', () => {
    expect(clamdAddress('/run/clamav/clamd.ctl')).toEqual({ path: '/run/clamav/clamd.ctl' });
    expect(clamdAddress('unix:/run/clamd')).toEqual({ path: '/run/clamd' });
    expect(clamdAddress('scanner.internal:3310')).toEqual({ host: 'scanner.internal', port: 3310 });
    expect(clamdAddress('tcp://[::1]:3310')).toEqual({ host: '::1', port: 3310 });
  });

  test.each(['scanner', 'scanner:', 'scanner:0', 'scanner:70000', ''])('%j is none', (text) => {
    expect(() => clamdAddress(text)).toThrow('must be');
  });
});

describe.skipIf(clamd === null)('the scan by clamd', () => {
  afterAll(() => clamd!.remove());

  test('it says who it is', async () => {
    await expect(scannerVersion(clamdAddress(clamd!.socket))).resolves.toMatch(/^ClamAV/);
  });

  test.each(['socket', 'tcp'] as const)('what is clean is clean, and what is infected is named: by %s', async (way) => {
    const address = clamdAddress(clamd![way]);
    expect(await scanFile(address, stream(Buffer.from('Nothing to see here')))).toEqual({ clean: true });
    expect(await scanFile(address, stream(EICAR))).toEqual({ clean: false, signature: expect.stringContaining('Eicar') as string });
  });

  test('a file without bytes is clean', async () => {
    expect(await scanFile(clamdAddress(clamd!.socket), stream())).toEqual({ clean: true });
  });

  test('inside of a document, and at the end of a long stream in small pieces', async () => {
    const address = clamdAddress(clamd!.socket);
    const document = await zip(new Map([['word/document.xml', Buffer.from('<w/>')], ['word/media/image1.bin', EICAR]]));
    expect(await scanFile(address, stream(document))).toMatchObject({ clean: false });
    const pieces = Array.from({ length: 500 }, () => Buffer.alloc(4_001, 'text '));
    expect(await scanFile(address, stream(...pieces, EICAR))).toMatchObject({ clean: false });
  });

  test('many at once', async () => {
    const address = clamdAddress(clamd!.tcp);
    const verdicts = await Promise.all(Array.from({ length: 20 }, (_, at) => scanFile(address, stream(at % 2 === 0 ? Buffer.from(`clean ${at}`) : EICAR))));
    expect(verdicts.map(({ clean }) => clean)).toEqual(Array.from({ length: 20 }, (_, at) => at % 2 === 0));
  });

  test.skipIf(clamd?.maxStream === Infinity)('a stream that is longer than it takes is refused, never clean', async () => {
    const pieces = Array.from({ length: 3 * (clamd!.maxStream / 2 ** 20) }, () => Buffer.alloc(2 ** 20, 'a'));
    await expect(scanFile(clamdAddress(clamd!.socket), stream(...pieces))).rejects.toMatchObject({ code: 'scan_refused' });
  });

  test('a file that cannot be read to its end fails the scan', async () => {
    const broken = Readable.from((function* () { yield Buffer.from('beginning'); throw new Error('the disk is gone'); })(), { objectMode: false });
    await expect(scanFile(clamdAddress(clamd!.socket), broken)).rejects.toThrow('the disk is gone');
  });

  test('who asks may stop asking', async () => {
    const abort = new AbortController();
    const endless = Readable.from((function* () { for (;;) yield Buffer.alloc(1_000); })(), { objectMode: false });
    const scan = scanFile(clamdAddress(clamd!.socket), endless, abort.signal);
    abort.abort(new Error('enough'));
    await expect(scan).rejects.toThrow('enough');
    expect(endless.destroyed).toBe(true);
  });

  test.skipIf(clamd?.maxStream === Infinity)('a scanner that is down is unavailable, and works again when it is back', async () => {
    await clamd!.stop();
    await expect(scanFile(clamdAddress(clamd!.socket), stream(EICAR))).rejects.toMatchObject({ code: 'scanner_unavailable', retryable: true });
    await expect(scanFile(clamdAddress(clamd!.tcp), stream(EICAR))).rejects.toMatchObject({ code: 'scanner_unavailable' });
    await clamd!.start();
    expect(await scanFile(clamdAddress(clamd!.tcp), stream(EICAR))).toMatchObject({ clean: false });
  });
});

describe('a scanner that misbehaves never says that a file is clean', () => {
  test.each([
    ['closes at once', (socket: net.Socket) => socket.destroy()],
    ['says nothing sensible', (socket: net.Socket) => socket.end('stream: OK?\0')],
    ['has an error', (socket: net.Socket) => socket.end("stream: Can't allocate memory ERROR\0")],
  ])('%s', async (_, answer) => {
    const server = net.createServer((socket) => { socket.on('error', () => undefined).once('data', () => answer(socket)); });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    onTestFinished(() => { server.close(); });
    const { port } = server.address() as net.AddressInfo;
    await expect(scanFile({ host: '127.0.0.1', port }, stream(Buffer.from('text')))).rejects.toMatchObject({ code: 'scanner_unavailable' });
  });
});

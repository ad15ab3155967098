/** The API process itself, as the supervisor starts it. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let folder: string;
beforeAll(async () => { folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-server-')); });
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Temporal is out of its reach, as at a start in which the server comes last. */
const start = (port = 0): ChildProcess => fork(new URL('../../src/server.ts', import.meta.url), {
  env: { ...process.env, SHEAF_HOME: folder, SHEAF_API_PORT: String(port), SHEAF_TEMPORAL_PORT: '1' }, stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
});

async function started(): Promise<{ child: ChildProcess; url: string; exited: Promise<unknown[]> }> {
  const child = start();
  const exited = once(child, 'exit');
  const [message] = await once(child, 'message') as [{ type: string; url: string }];
  expect(message.type).toBe('ready');
  return { child, url: message.url, exited };
}

/** An upload that has begun and waits for its second half. */
async function halfUploaded(url: string): Promise<{ client: ClientRequest; answered: Promise<[IncomingMessage]> }> {
  const client = request(`${url}/api/v1/uploads?name=a.csv`, { method: 'POST', headers: { 'content-length': 8, expect: '100-continue' } });
  const answered = once(client, 'response') as Promise<[IncomingMessage]>;
  client.flushHeaders();
  await once(client, 'continue');
  client.write('a\n1\n');
  return { client, answered };
}

const refusesConnections = async (url: string): Promise<boolean> => fetch(`${url}/healthz`).then(() => false, () => true);

describe('the API process', () => {
  it.each([
    ['SIGTERM', (child: ChildProcess) => void child.kill('SIGTERM')],
    ['SIGINT', (child: ChildProcess) => void child.kill('SIGINT')],
    ['{type: "stop"}', (child: ChildProcess) => void child.send({ type: 'stop' })],
    ['the end of its parent', (child: ChildProcess) => child.disconnect()],
  ])('on %s takes no new request, finishes those in flight, and exits with 0', async (_what, stop) => {
    const { child, url, exited } = await started();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const { client, answered } = await halfUploaded(url);
    stop(child);
    await expect.poll(() => refusesConnections(url)).toBe(true);
    client.end('b\n2\n');
    const [response] = await answered;
    expect(response.statusCode).toBe(201);
    expect(JSON.parse(Buffer.concat(await response.toArray() as Buffer[]).toString())).toMatchObject({ name: 'a.csv', size: 8 });
    expect(await exited).toEqual([0, null]);
  });

  it('names a port that is in use, and the remedy', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const child = start(port);
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => { said += text; });
    expect((await once(child, 'close'))[0]).toBe(1);
    expect(said).toContain(`Port ${port} is in use: stop what listens there, or set SHEAF_API_PORT to another.`);
    other.close();
  });
});

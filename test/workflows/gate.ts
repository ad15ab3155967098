/**
 * The outside of a handler: an HTTP server that a handler module asks once for every row. A test decides which rows are
 * held back and which fail, and sees every call that was made.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

export interface GateFailure {
  code: string;
  retryable?: boolean;
  message?: string;
}

export interface Gate {
  url: string;
  /** Keys in the order in which their rows started; a row that started twice is there twice. */
  started: string[];
  /** Keys of rows that were answered. */
  finished: string[];
  /** Rows that wait for `release`. */
  held: number;
  /** Which rows wait; none at first. */
  hold: (key: string) => boolean;
  /** Which rows fail; none at first. */
  fail: (key: string) => GateFailure | null;
  /** How long each answer takes. */
  answerMs: number;
  /** Lets everything go that waits, and holds nothing from now on. */
  release(): void;
  /** Forgets the calls so far. */
  forget(): void;
  /** As it was at first. */
  reset(): void;
  /** Resolves when the condition holds; it is looked at with every call and answer. */
  until(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

export async function openGate(): Promise<Gate> {
  const waiting: (() => void)[] = [];
  let watchers: { condition: () => boolean; resolve: () => void }[] = [];
  const look = (): void => {
    for (const watcher of watchers) if (watcher.condition()) watcher.resolve();
    watchers = watchers.filter(({ condition }) => !condition());
  };

  const server = createServer((request, response) => {
    const key = new URL(request.url ?? '/', 'http://gate').searchParams.get('key') ?? '';
    const answer = (): void => {
      const failure = gate.fail(key);
      setTimeout(() => response.end(JSON.stringify(failure ? { error: { retryable: false, ...failure } } : { output: { answered: key } }), () => {
        gate.finished.push(key);
        look();
      }), gate.answerMs);
    };
    gate.started.push(key);
    if (gate.hold(key)) {
      waiting.push(answer);
      gate.held++;
    } else {
      answer();
    }
    look();
  });
  server.keepAliveTimeout = 0; // a connection that is closed just when it is used again would fail a row
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const gate: Gate = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    started: [], finished: [], held: 0,
    hold: () => false,
    fail: () => null,
    answerMs: 0,
    release() {
      gate.hold = () => false;
      gate.held = 0;
      for (const answer of waiting.splice(0)) answer();
    },
    forget() {
      gate.started = [];
      gate.finished = [];
    },
    reset() {
      gate.release();
      gate.forget();
      gate.fail = () => null;
      gate.answerMs = 0;
    },
    until: (condition) => condition() ? Promise.resolve() : new Promise((resolve) => watchers.push({ condition, resolve })),
    async close() {
      gate.release();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return gate;
}

/** Writes a handler module that asks the gate, and answers its path. */
export async function gateModule(folder: string, name = 'gate.mjs', also = ''): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, `
    export const columns = ['name'];
    export default async (row, { key, options, signal, RowError }) => {
      const answer = await (await fetch(options.url + '/?key=' + encodeURIComponent(key), { signal })).json();
      if (answer.error) throw new RowError(answer.error.code, answer.error.message ?? 'The gate refused the row.', answer.error);
      return answer.output;
    };
    ${also}`);
  return file;
}

/** A model's server: real HTTP that speaks chat completions and embeddings as OpenAI does, and fails as it is told to. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

interface Asked {
  path: string;
  authorization: string | undefined;
  body: { model: string; messages?: { role: string; content: unknown }[]; input?: string[] };
}

export interface ModelServer {
  /** With the version, as a base address. */
  url: string;
  asked: Asked[];
  /** Statuses that the next calls are answered with, in place of an answer; the client may come again at once. */
  failing: number[];
  /** What the model says, as text. */
  says: string;
  close(): Promise<void>;
}

/** The vector of a text is its length and its first character's code. */
export async function modelServer(): Promise<ModelServer> {
  const state: Omit<ModelServer, 'url' | 'close'> = { asked: [], failing: [], says: JSON.stringify({ summary: 'It is about foxes.', tags: ['fox', 'dog', 'fox'] }) };
  const server = createServer((req, res) => void (async () => {
    const body = (await json(req)) as Asked['body'];
    state.asked.push({ path: req.url ?? '', authorization: req.headers.authorization, body });
    const failure = state.failing.shift();
    const answer = (status: number, value: object, headers: Record<string, string> = {}): void => {
      res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    };
    if (failure !== undefined) return answer(failure, { error: { message: 'Not now.', type: 'error' } }, { 'retry-after-ms': '5' });
    if (req.url === '/v1/chat/completions') {
      return answer(200, {
        id: 'c', object: 'chat.completion', created: 1, model: body.model, usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
        choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: state.says } }],
      });
    }
    if (req.url === '/v1/embeddings') {
      return answer(200, {
        object: 'list', model: body.model, usage: { prompt_tokens: 3, total_tokens: 3 },
        data: (body.input ?? []).map((text, index) => ({ object: 'embedding', index, embedding: [text.length, text.charCodeAt(0)] })),
      });
    }
    return answer(404, { error: { message: 'No such path.' } });
  })());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

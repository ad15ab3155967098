/**
 * A model's server: real HTTP that speaks OpenAI's chat completions and embeddings, Anthropic's messages and Google's
 * generateContent, fails as it is told to, and counts what would have been paid for.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Asked {
  /** By the monotonic clock. */
  at: number;
  path: string;
  /** Whichever header the protocol carries it in. */
  authorization: string | undefined;
  body: { model: string; messages?: { role: string; content: unknown }[]; input?: string[] };
  /** All that the model reads, as text: instructions, then what was asked. */
  system: string;
  prompt: string;
}

/** A status alone: refused, and the client may come again at once. `malformed`: a body that is no JSON; `cut`: the answer breaks off. Both were paid. `silent`: never answered. */
export type Fault = number | 'malformed' | 'cut' | 'silent' | 'quota' | 'key' | 'context' | 'refused' | { status: number; retryAfter: string };

export interface ModelServer {
  /** With the version, as a base address. */
  url: string;
  asked: Asked[];
  /** What the next calls are answered with, in place of an answer. */
  failing: Fault[];
  /** What every call is answered with, once `failing` is empty. */
  always: Fault | null;
  /** What the model says, as text; it may take its time. */
  says: string | ((asked: Asked) => string | Promise<string>);
  latencyMs: number;
  /** Calls that a model has answered: each costs. */
  paid: number;
  /** Most calls under way at once. */
  mostAtOnce: number;
  close(): Promise<void>;
}

type Protocol = 'chat' | 'messages' | 'gemini' | 'embeddings' | null;

const protocolOf = (path: string): Protocol =>
  path.endsWith('/chat/completions') ? 'chat' : path.endsWith('/messages') ? 'messages' : path.includes(':generateContent') ? 'gemini' : path.endsWith('/embeddings') ? 'embeddings' : null;

/** How each provider words what the tests are about. */
const WORDED: Record<'quota' | 'key' | 'context', Record<'chat' | 'messages' | 'gemini', [status: number, body: object]>> = {
  quota: {
    chat: [429, { error: { message: 'You exceeded your current quota, please check your plan and billing details.', type: 'insufficient_quota', code: 'insufficient_quota' } }],
    messages: [400, { type: 'error', error: { type: 'invalid_request_error', message: 'Your credit balance is too low to access the Anthropic API.' } }],
    gemini: [402, { error: { code: 402, message: 'Billing is required.', status: 'FAILED_PRECONDITION' } }],
  },
  key: {
    chat: [401, { error: { message: 'Incorrect API key provided: secret-of-the-test.', type: 'invalid_request_error', code: 'invalid_api_key' } }],
    messages: [401, { type: 'error', error: { type: 'authentication_error', message: 'invalid x-api-key' } }],
    gemini: [400, { error: { code: 400, message: 'API key not valid. Please pass a valid API key.', status: 'INVALID_ARGUMENT', details: [{ reason: 'API_KEY_INVALID' }] } }],
  },
  context: {
    chat: [400, { error: { message: "This model's maximum context length is 8192 tokens.", type: 'invalid_request_error', code: 'context_length_exceeded' } }],
    messages: [400, { type: 'error', error: { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' } }],
    gemini: [400, { error: { code: 400, message: 'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).', status: 'INVALID_ARGUMENT' } }],
  },
};

/** The vector of a text is its length and its first character's code. */
export async function modelServer(): Promise<ModelServer> {
  const state: Omit<ModelServer, 'url' | 'close'> = {
    asked: [], failing: [], always: null, says: JSON.stringify({ summary: 'It is about foxes.', tags: ['fox', 'dog', 'fox'] }), latencyMs: 0, paid: 0, mostAtOnce: 0,
  };
  let atOnce = 0;

  const answer = async (res: ServerResponse, path: string, asked: Asked): Promise<void> => {
    const protocol = protocolOf(path);
    const fault = state.failing.shift() ?? state.always;
    if (state.latencyMs > 0) await sleep(state.latencyMs);
    const send = (status: number, value: object, headers: Record<string, string> = {}): void => {
      res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    };
    if (protocol === null) return send(404, { error: { message: 'No such path.' } });
    if (typeof fault === 'number') return send(fault, { error: { message: 'Not now.', type: 'error' } }, { 'retry-after-ms': '5' });
    if (typeof fault === 'object' && fault !== null) return send(fault.status, { error: { message: 'Not now.', type: 'error' } }, { 'retry-after': fault.retryAfter });
    if (fault === 'silent') return;
    if (protocol === 'embeddings') {
      return send(200, {
        object: 'list', model: asked.body.model, usage: { prompt_tokens: 3, total_tokens: 3 },
        data: (asked.body.input ?? []).map((text, index) => ({ object: 'embedding', index, embedding: [text.length, text.charCodeAt(0)] })),
      });
    }
    if (fault === 'quota' || fault === 'key' || fault === 'context') return send(...WORDED[fault][protocol]);
    state.paid++;
    const whole = JSON.stringify(said(protocol, asked, typeof state.says === 'string' ? state.says : await state.says(asked), fault === 'refused'));
    if (fault === 'malformed') return void res.writeHead(200, { 'content-type': 'application/json' }).end(`<html>${whole}`);
    if (fault === 'cut') {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(whole)) });
      res.write(whole.slice(0, whole.length / 2), () => res.destroy());
      return;
    }
    res.writeHead(200, { 'content-type': 'application/json' }).end(whole);
  };

  const server = createServer((req, res) => void (async () => {
    const body = (await json(req)) as Asked['body'];
    const asked: Asked = {
      at: performance.now(), path: req.url ?? '', body, ...readOf(body),
      authorization: req.headers.authorization ?? (req.headers['x-api-key'] ?? req.headers['x-goog-api-key']) as string | undefined,
    };
    state.asked.push(asked);
    state.mostAtOnce = Math.max(state.mostAtOnce, ++atOnce);
    res.once('close', () => { atOnce--; });
    await answer(res, asked.path, asked);
  })().catch(() => res.destroy()));
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

/** Ten tokens in and five out, whatever was asked. */
function said(protocol: 'chat' | 'messages' | 'gemini', { body }: Asked, text: string, refused: boolean): object {
  if (protocol === 'chat') {
    return {
      id: 'c', object: 'chat.completion', created: 1, model: body.model, usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
      choices: [{ index: 0, finish_reason: refused ? 'content_filter' : 'stop', message: { role: 'assistant', content: refused ? '' : text } }],
    };
  }
  if (protocol === 'messages') {
    const tool = (body as { tools?: { name: string }[] }).tools?.[0]?.name;
    return {
      id: 'm', type: 'message', role: 'assistant', model: body.model, usage: { input_tokens: 10, output_tokens: 5 }, stop_sequence: null,
      stop_reason: refused ? 'refusal' : tool === undefined ? 'end_turn' : 'tool_use',
      content: refused ? [] : tool === undefined ? [{ type: 'text', text }] : [{ type: 'tool_use', id: 't', name: tool, input: parsed(text) }],
    };
  }
  return {
    candidates: [{ index: 0, finishReason: refused ? 'SAFETY' : 'STOP', content: { role: 'model', parts: refused ? [] : [{ text }] } }],
    usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
  };
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return { text };
  }
};

const textOf = (content: unknown): string =>
  typeof content === 'string' ? content : Array.isArray(content) ? content.map((part: { text?: string }) => part.text ?? '').join('') : '';

function readOf(body: object): { system: string; prompt: string } {
  const { messages = [], system, contents = [], systemInstruction } = body as {
    messages?: { role: string; content: unknown }[]; system?: unknown; contents?: { parts: unknown }[]; systemInstruction?: { parts: unknown };
  };
  const ofSystem = messages.filter(({ role }) => role === 'system' || role === 'developer').map(({ content }) => textOf(content));
  const rest = messages.filter(({ role }) => role !== 'system' && role !== 'developer').map(({ content }) => textOf(content));
  return {
    system: [...ofSystem, textOf(system), textOf(systemInstruction?.parts)].join(''),
    prompt: [...rest, ...contents.map(({ parts }) => textOf(parts))].join('\n'),
  };
}

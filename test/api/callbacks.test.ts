import { request } from 'node:http';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import type { IntentRecord } from '../../src/contracts/intent.ts';
import { signatureHeaders } from '../../src/domain/signature.ts';
import { callbackAddress } from '../../src/temporal/callback-address.ts';
import { intentId } from '../../src/store/intents.ts';
import { anIntent } from '../conformance/store-intents.ts';
import { startApi } from './api.ts';

const token = 'abcdefghijklmnopqrstuvwx';
const signed = (body: string, secret = 'video-secret') => ({ 'content-type': 'application/json', ...signatureHeaders(secret, 'msg', body, Date.now()) });

test('a callback is taken when it is signed, and refused with a code of its own when it is not, is too large or nobody waits for it', async () => {
  const api = await startApi();
  try {
    const intent: IntentRecord = (await api.store.changeIntent(anIntent('k1', { token })))!;
    const path = callbackAddress('', intent);
    const send = (body: string, headers: Record<string, string> = signed(body), to = path) => ({ raw: body, headers, to });
    const call = ({ raw, headers, to }: ReturnType<typeof send>) => api.call<{ state: string }>('POST', to, { raw, headers });
    const refused = async ({ raw, headers, to }: ReturnType<typeof send>) => (await api.refused('POST', to, { raw, headers })).code;

    expect(await call(send('{"status":"processing"}'))).toMatchObject({ status: 202, body: { state: 'submitted' } });
    const answer = '{"status":"done","url":"u"}';
    expect(await refused(send(answer, signed(answer, 'guessed')))).toBe('signature_invalid');
    expect(await refused(send(answer, { ...signed(answer), 'webhook-timestamp': '1700000000' }))).toBe('signature_invalid');
    expect(await refused(send(answer, { 'content-type': 'application/json' }))).toBe('signature_invalid');
    expect(await refused(send(answer, signed(answer), `${path.slice(0, -1)}_`))).toBe('callback_unknown');
    expect(await refused(send('{', signed('{')))).toBe('invalid_request');
    const large = JSON.stringify({ status: 'done', text: 'x'.repeat(300_000) });
    expect(await refused(send(large))).toBe('body_too_large');
    expect((await api.store.getIntent('acme', intentId(intent, 'k1')))?.answer).toBeNull();

    expect(await call(send(answer))).toMatchObject({ status: 200, body: { state: 'answered' } });
    const again = '{"status":"failed"}';
    expect(await call(send(again))).toMatchObject({ status: 200 });
    expect(await api.store.getIntent('acme', intentId(intent, 'k1'))).toMatchObject({ state: 'answered', answer: { url: 'u' } });
    expect(api.logged.join('')).not.toContain('video-secret');
  } finally {
    await api.close();
  }
});

test('the name that services use leads to callbacks and to nothing else', async () => {
  const api = await startApi(({ config }) => ({ config: { ...config, ...readConfig({ SHEAF_PUBLIC_URL: 'https://sheaf.example.com' }) } }));
  try {
    const status = (method: string, path: string) => new Promise<number | undefined>((resolve, reject) => {
      request(`${api.url}${path}`, { method, headers: { host: 'sheaf.example.com' } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).on('error', reject).end();
    });
    expect(await status('GET', '/api/v1/jobs')).toBe(403);
    expect(await status('POST', '/api/v1/callbacks/x')).toBe(404);
  } finally {
    await api.close();
  }
});

/**
 * A service of your own, as handler `http` calls it: it takes an idea, answers 202 at once, and calls back when the
 * "video" is there. Run it beside Sheaf: `VIDEO_SECRET=… node samples/video-service.mjs`. It needs nothing but Node.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 9100);
const secret = process.env.VIDEO_SECRET ?? 'only-for-trying-out';

/** Work by its Idempotency-Key, with its answer once there is one: who asks again, because he heard none, gets the same and pays once. */
const work = new Map();

const macOf = (id, timestamp, body) => createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');

/** As Standard Webhooks has it; both sides sign alike. */
function isSigned({ headers }, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': given = '' } = headers;
  const expected = Buffer.from(`v1,${macOf(id, timestamp, body)}`);
  const signature = Buffer.from(given);
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}

async function callBack(address, id, answer) {
  const body = JSON.stringify(answer);
  for (let tries = 0; tries < 10; tries++) {
    const timestamp = String(Math.floor(Date.now() / 1000));
    const headers = { 'content-type': 'application/json', 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${macOf(id, timestamp, body)}` };
    const answered = await fetch(address, { method: 'POST', headers, body }).catch(() => null);
    if (answered !== null && answered.status < 500) return;
    await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
  }
}

function make(one, { title, style, seconds, callback }) {
  setTimeout(() => {
    const done = style !== null;
    one.answer = done
      ? { status: 'done', video: { url: `https://videos.example.com/${one.id}.mp4`, seconds, quality: '1080p' }, cost: Math.round(seconds * 4) / 100 }
      : { status: 'failed', error: { message: `"${title}" has no style` } };
    console.log(`${done ? 'made' : 'refused'} ${title}`);
    void callBack(callback, one.id, one.answer);
  }, 1_000 + Math.random() * 4_000);
}

createServer(async (req, res) => {
  let body = '';
  for await (const chunk of req) body += chunk;
  const reply = (status, answer) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  if (req.method !== 'POST' || req.url !== '/videos') return reply(404, { error: 'POST /videos' });
  if (!isSigned(req, body)) return reply(401, { error: 'the signature is wrong' });
  const key = req.headers['idempotency-key'];
  if (!work.has(key)) {
    const one = { id: `video-${work.size + 1}`, answer: null };
    work.set(key, one);
    make(one, JSON.parse(body));
  }
  const { id, answer } = work.get(key);
  reply(answer === null ? 202 : 200, answer ?? { id, status: 'queued' });
}).listen(port, '127.0.0.1', () => console.log(`The video service listens at http://127.0.0.1:${port}/videos`));

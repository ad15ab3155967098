/** One kill in the middle of many small documents, and everything that must hold afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../src/config.ts';
import { createContainer } from '../../src/container.ts';
import { isEnded } from '../../src/contracts/job.ts';
import { verify } from '../../src/integrity/verify.ts';
import type { TestStack } from '../servers/stack.ts';
import { until } from './kill-round.ts';

export interface DocumentKill {
  /** A part of the stack, or a server that it stands on. */
  victim: string;
  /** Killed once so many documents are ready. */
  afterReady: number;
  outageMs: number;
}

export interface DocumentKillRound extends DocumentKill {
  totalSeconds: number;
  /** What did not hold; empty when all is well. */
  violations: string[];
}

/** Uploads sent at once. */
const AT_ONCE = 4;
const PATIENCE_MS = 500_000;

interface Uploaded {
  document_id: string;
}

/** `name` tells the documents of this round from those of others, and is in the words of each. */
export async function killDocuments(stack: TestStack, name: string, count: number, kill: DocumentKill): Promise<DocumentKillRound> {
  const begun = performance.now();
  const ready = async (): Promise<number> => (await found(stack, name, count)).length;
  const uploading = uploadAll(stack, name, count);
  await until(`${kill.afterReady} documents to be ready`, async () => (await ready()) >= kill.afterReady, PATIENCE_MS);
  await stack.kill(kill.victim);
  await sleep(kill.outageMs);
  await stack.start(kill.victim);
  const ids = await uploading;
  const violations: string[] = [];
  for (const [index, id] of ids.entries()) {
    const document = await until(`document ${id} to end`, async () => {
      const now = await stack.call<{ state: 'completed'; total_chunks: number }>('GET', `/documents/${id}`);
      return isEnded(now.state) && now;
    }, PATIENCE_MS);
    if (document.state !== 'completed' || document.total_chunks !== 1) violations.push(`document ${index} is ${String(document.state)} with ${document.total_chunks} passages`);
  }
  if (new Set(ids).size !== count) violations.push(`${count} uploads made ${new Set(ids).size} documents`);
  const hits = await until('search to answer', () => found(stack, name, count + 1), PATIENCE_MS);
  if (hits.length !== count || new Set(hits).size !== count) violations.push(`search finds ${hits.length} passages of ${new Set(hits).size} documents`);
  violations.push(...(await disagreements(stack)));
  return { ...kill, totalSeconds: (performance.now() - begun) / 1_000, violations };
}

/** Each with an Idempotency-Key: an upload whose answer is lost is sent again, and makes no second document. */
async function uploadAll(stack: TestStack, name: string, count: number): Promise<string[]> {
  const ids: string[] = Array.from({ length: count }, () => '');
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let index = next++; index < count; index = next++) {
      ids[index] = await until(`upload ${index} to be taken`, () => uploadOne(stack, `${name} number ${index}`, `${name}-${index}`), PATIENCE_MS);
    }
  }));
  return ids;
}

async function uploadOne(stack: TestStack, text: string, key: string): Promise<string> {
  const form = new FormData();
  form.append('file', new Blob([text]), `${key}.txt`);
  const response = await fetch(`${stack.url}/api/v1/documents/upload/simple`, { method: 'POST', body: form, headers: { 'idempotency-key': key }, signal: AbortSignal.timeout(20_000) });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return ((await response.json()) as Uploaded).document_id;
}

async function found(stack: TestStack, name: string, most: number): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null && ids.length < most;) {
    const page: { items: { document: string }[]; nextCursor: string | null } = await stack.call('GET', `/search?q=${name}&limit=100${cursor === '' ? '' : `&cursor=${cursor}`}`);
    ids.push(...page.items.map(({ document }) => document));
    cursor = page.nextCursor;
  }
  return ids;
}

/** What `sheaf system verify` finds once all is quiet. */
async function disagreements(stack: TestStack): Promise<string[]> {
  const container = await createContainer(readConfig(stack.env), 'test');
  try {
    const findings: string[] = [];
    for await (const { kind, message } of verify(container, { repair: false })) findings.push(`${kind}: ${message}`);
    return findings;
  } finally {
    await container.close();
  }
}

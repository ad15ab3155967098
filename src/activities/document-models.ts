/**
 * What configured models say of a document. Every answer is kept under the hash of what was asked, in the document's folder: a stage
 * that is done again does not pay again. A model that fails is a warning, and the document goes on.
 */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { blobKeys } from '../blobs/keys.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { EMBEDDED_AT_ONCE, type DocumentMetadata, type DocumentRecord, type DocumentWarning, type Passage } from '../contracts/document.ts';
import { canonicalJson, digest } from '../domain/hashing.ts';
import type { Described, Models } from '../models/models.ts';

/** Characters that a model is shown: more cost more, and say little more of what a text is about. */
const SHOWN = 24_000;
/** Raised where the question changes, so that older answers are none. */
const QUESTION = 1;

export interface ModelWork {
  document: DocumentRecord;
  blobs: Blobs;
  models: Models;
  signal: AbortSignal;
}

type Said = Pick<DocumentMetadata, 'summary' | 'suggestedTags' | 'embeddings'>;

/** `textFile` and `passagesFile`: what extraction and chunking made, on this disk. */
export async function askModels(work: ModelWork, textFile: string, passagesFile: string): Promise<Said & { warnings: DocumentWarning[] }> {
  const warnings: DocumentWarning[] = [];
  const orWarning = async <T>(what: string, ask: () => Promise<T>): Promise<T | null> => {
    try {
      return await ask();
    } catch (error) {
      work.signal.throwIfAborted();
      warnings.push({ code: 'model_failed', message: `The model has made no ${what}: ${messageOf(error)}. Reprocess the document from analysis on to ask again.` });
      return null;
    }
  };
  const described = work.models.text === null ? null : await orWarning('summary', async () => describe(work, await readFile(textFile, 'utf8')));
  const embeddings = work.models.embeddings === null ? null : await orWarning('embeddings', () => embed(work, passagesFile));
  return { summary: described?.summary ?? null, suggestedTags: described?.tags ?? [], embeddings, warnings };
}

async function describe({ models, ...work }: ModelWork, text: string): Promise<Described> {
  const { name, describe: ask } = models.text!;
  const shown = text.slice(0, SHOWN).toWellFormed();
  return (await once(work, ['describe', QUESTION, name, shown], () => ask(shown, work.signal))).answer;
}

async function embed({ models, ...work }: ModelWork, passagesFile: string): Promise<NonNullable<DocumentMetadata['embeddings']>> {
  const { name, embed: ask } = models.embeddings!;
  const keys: string[] = [];
  const next = async (texts: string[]): Promise<void> => {
    const { key } = await once(work, ['embed', name, texts], () => ask(texts, work.signal));
    keys.push(key);
  };
  let texts: string[] = [];
  for await (const line of createInterface({ input: createReadStream(passagesFile), crlfDelay: Infinity })) {
    texts.push((JSON.parse(line) as Passage).text);
    if (texts.length < EMBEDDED_AT_ONCE) continue;
    await next(texts);
    texts = [];
  }
  if (texts.length > 0) await next(texts);
  return { model: name, keys };
}

async function once<Answer>({ blobs, document: { tenant, id } }: Omit<ModelWork, 'models'>, asked: (string | number | string[])[], ask: () => Promise<Answer>): Promise<{ key: string; answer: Answer }> {
  const key = blobKeys.answer(tenant, id, digest(canonicalJson(asked)));
  if ((await blobs.head(key)) !== null) return { key, answer: JSON.parse((await blobs.get(key)).toString()) as Answer };
  const answer = await ask();
  await blobs.put(key, Buffer.from(JSON.stringify(answer)));
  return { key, answer };
}

/** Of the server, not of what it was sent. */
const messageOf = (error: unknown): string => {
  const { statusCode, lastError } = error as { statusCode?: number; lastError?: { statusCode?: number } };
  const status = statusCode ?? lastError?.statusCode;
  return status === undefined ? (error instanceof Error ? error.name : 'unknown error') : `its server answered ${status}`;
};

/** What became of a document, as files: its text, and its passages. Streamed from the blobs. */
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { createZstdDecompress } from 'node:zlib';
import packageJson from '../../package.json' with { type: 'json' };
import type { Blobs } from '../blobs/blobs.ts';
import type { PassageAnswer } from '../contracts/document-api.ts';
import { EMBEDDED_AT_ONCE, type DocumentRecord, type Passage } from '../contracts/document.ts';
import { SheafError } from '../contracts/errors.ts';
import { documentAnswerOf } from './document-answer.ts';

/** Rejects with `not_ready` where the stage that makes it has not ended, `malware_found` where the file is nobody's to read. */
function keyOf(document: DocumentRecord, result: 'text' | 'chunks'): string {
  if (document.quarantined) throw new SheafError('malware_found', `The document ${document.id} holds malware.`, { remedy: 'Delete it.' });
  const key = document.blobs[result];
  if (key !== null) return key;
  const stage = result === 'text' ? 'extracted' : 'cut into passages';
  throw new SheafError('not_ready', `The document ${document.id} has not been ${stage}.`, { remedy: `GET /api/v1/documents/${document.id}/status says how far it is.` });
}

async function unpacked(blobs: Blobs, key: string): Promise<Readable> {
  const packed = await blobs.stream(key);
  const text = createZstdDecompress();
  packed.on('error', (error) => text.destroy(error));
  text.once('close', () => packed.destroy());
  return packed.pipe(text);
}

export async function* documentText(blobs: Blobs, document: DocumentRecord): AsyncGenerator<Buffer> {
  for await (const chunk of await unpacked(blobs, keyOf(document, 'text'))) yield chunk as Buffer;
}

/** By number, after the given one. */
export async function* passagesOf(blobs: Blobs, document: DocumentRecord, after = 0): AsyncGenerator<PassageAnswer> {
  const text = await unpacked(blobs, keyOf(document, 'chunks'));
  try {
    // Not readline's events: it would read on while nobody takes.
    for await (const line of createInterface({ input: text, crlfDelay: Infinity })) {
      if (line === '') continue;
      const { tableHeader, ...passage } = JSON.parse(line) as Passage;
      if (passage.number > after) yield { ...passage, table_header: tableHeader };
    }
  } finally {
    text.destroy();
  }
}

export async function* passageLines(blobs: Blobs, document: DocumentRecord): AsyncGenerator<string> {
  for await (const passage of passagesOf(blobs, document)) yield `${JSON.stringify(passage)}\n`;
}

/** One JSON value: the document, how it was cut, and all passages. */
export async function* encodedDocument(blobs: Blobs, document: DocumentRecord): AsyncGenerator<string> {
  const { document_id, filename, file_size, sha256, document_type, document_key, version, tags, metadata, processing_options: { chunk_size, overlap, encoding }, created_at, completed_at } = documentAnswerOf(document);
  const head = JSON.stringify({
    document: { id: document_id, filename, file_size, sha256, document_type, document_key, version, tags, created_at, completed_at },
    metadata,
    settings: { chunk_size, overlap, encoding },
    encoder_version: `sheaf ${packageJson.version}`,
    total_chunks: metadata.chunk_count,
    total_tokens: metadata.token_count,
  });
  let begun = false;
  const keys = document.metadata.embeddings?.keys ?? [];
  let vectors: number[][] = [];
  for await (const { number, ...passage } of passagesOf(blobs, document)) {
    const [group, place] = [Math.floor((number - 1) / EMBEDDED_AT_ONCE), (number - 1) % EMBEDDED_AT_ONCE];
    const key = keys[group];
    if (place === 0) vectors = key === undefined ? [] : (JSON.parse((await blobs.get(key)).toString()) as number[][]);
    const embedding = vectors[place];
    yield `${begun ? ',' : `${head.slice(0, -1)},"chunks":[`}\n${JSON.stringify({ id: number, ...passage, ...(embedding !== undefined && { embedding }) })}`;
    begun = true;
  }
  yield begun ? '\n]}\n' : `${head.slice(0, -1)},"chunks":[]}\n`;
}

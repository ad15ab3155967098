/** Files that other people made, through the whole job to search: with the reader that the worker has, its child processes too. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { documentPercent, type DocumentRecord } from '../../src/contracts/document.ts';
import { isEnded } from '../../src/contracts/job.ts';
import type { DocumentReader } from '../../src/documents/document.ts';
import { openReader } from '../../src/documents/reader.ts';
import { searchTerms } from '../../src/domain/search-text.ts';
import { verify } from '../../src/integrity/verify.ts';
import { openRig, type Rig } from './rig.ts';

const unpack = promisify(zstdDecompress);
const CORPUS = path.resolve('../shared/corpus');
const files = existsSync(CORPUS) ? readdirSync(CORPUS, { recursive: true, encoding: 'utf8' }).filter((file) => statSync(path.join(CORPUS, file)).isFile()).sort() : [];

/** Words by which a file must be found, alone among all of them or with others. */
const FOUND_BY: Record<string, string> = {
  'book-war-and-peace-1225p.txt': '"Well, Prince, so Genoa and Lucca"', 'fake-memo.pdf': 'memo', 'umlauts-non-utf8.md': 'Käse OR grüßen',
  'stanley-cups.xlsx': 'flyers', 'docx-tables.docx': 'header', 'fake-power-point-table.pptx': 'column', 'eng_spa_mult.odt': 'que', 'layout-parser-paper-fast.pdf': '"document image analysis"',
};
/** What is no readable document, and why. */
const REFUSED: Record<string, string> = {
  'empty.txt': 'no_text', 'empty.xlsx': 'no_text', 'password.pdf': 'password_required', 'password_protected.xlsx': 'password_required', 'simple.zip': 'unsupported_type',
};

let rig: Rig;
let reader: DocumentReader;
const documents = new Map<string, DocumentRecord>();
beforeAll(async () => {
  if (files.length === 0) throw new Error(`The folder of example documents, ${path.relative('.', CORPUS)}, is not beside the checkout`);
  reader = openReader({ concurrency: 2 });
  rig = await openRig({ realReader: reader });
  await rig.startWorkers();
  for (const file of files) documents.set(file, await rig.upload(path.basename(file), await readFile(path.join(CORPUS, file))));
}, 120_000);
afterAll(async () => {
  await rig.close();
  await reader.close();
});

describe('every file of the corpus', () => {
  test.each(files)('%s ends as it should', { timeout: 300_000 }, async (file) => {
    const document = await rig.whenDocument(documents.get(file)!.id, ({ state }) => isEnded(state));
    const code = REFUSED[path.basename(file)];
    if (code !== undefined) return expect(document).toMatchObject({ state: 'failed', error: { code, message: expect.any(String) }, published: null });
    expect(document).toMatchObject({ state: 'completed', error: null, stage: 'completion' });
    expect(documentPercent(document)).toBe(100);
    expect(document.counts.passages).toBeGreaterThan(0);
    expect(document.published?.passages).toBe(document.counts.passages);

    const text = await textOf(document);
    const { items } = await rig.store.listPassages(document.tenant, document.id, { limit: 500 });
    for (const passage of items) expect(text.slice(passage.start, passage.end)).toBe(passage.text);
  });

  test.each(Object.entries(FOUND_BY).filter(([file]) => files.includes(file)))('%s is found by its words', async (file, words) => {
    await rig.whenDocument(documents.get(file)!.id, ({ state }) => isEnded(state));
    const hits = (await Promise.all(words.split(' OR ').map((query) => documentsFound(query)))).flat();
    expect(hits).toContain(documents.get(file)!.id);
  });

  test('leaves nothing behind that does not agree', { timeout: 300_000 }, async () => {
    for (const { id } of documents.values()) await rig.whenDocument(id, ({ state }) => isEnded(state));
    const findings = [];
    for await (const finding of verify(rig, { repair: false })) findings.push(finding);
    expect(findings).toEqual([]);
  });
});

async function textOf({ blobs }: DocumentRecord): Promise<string> {
  return (await unpack(await rig.blobs.get(blobs.text!))).toString();
}

async function documentsFound(query: string): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | undefined; ;) {
    const { items, nextCursor } = await rig.store.search('default', { terms: searchTerms(query), filter: {} }, { limit: 100, ...(cursor !== undefined && { cursor }) });
    ids.push(...items.flatMap((hit) => (hit.kind === 'passage' ? [hit.document] : [])));
    if (nextCursor === null) return ids;
    cursor = nextCursor;
  }
}

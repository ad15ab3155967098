/**
 * Passages as the stores keep them: as items, found by the same search as rows. The source is the document's key, and each
 * try at indexing a version has a lane of its own; the adapter knows which lane of a source is published.
 */
import type { Passage } from '../contracts/document.ts';
import { fence } from '../domain/fence.ts';
import { digest } from '../domain/hashing.ts';
import type { PassageSet, PassagesWrite } from './ports/documents.ts';
import type { ItemHit, SearchHit } from './ports/search.ts';
import type { RowsCommit } from './ports/rows.ts';

/** What their sources begin with. No sheet's does: a name of a source has no colon. */
export const PASSAGE_SOURCES = 'document:';

export const passageSource = (documentKey: string): string => `${PASSAGE_SOURCES}${documentKey}`;
/** Begins with the document's own part, which names all of its lanes. */
export const passageLane = ({ document, generation }: Pick<PassageSet, 'document' | 'generation'>): string => `${passageLanes(document)}${generation}`;
export const passageLanes = (document: string): string => `${document}/`;

/** The document and generation that a lane is of. */
export function setOfLane(lane: string): { document: string; generation: number } {
  const [document = '', generation = ''] = lane.split('/');
  return { document, generation: Number(generation) };
}

/** All of a passage but its text, and what a hit shows of its document. */
type About = Omit<Passage, 'number' | 'text'> & Pick<PassagesWrite, 'fileName' | 'title'>;

/** Whoever writes the same passage of the same set again writes the same. */
export function passagesCommit({ set, job, tags, fileName, title, passages }: PassagesWrite): RowsCommit {
  return {
    lane: { tenant: set.tenant, source: passageSource(set.documentKey), lane: passageLane(set) },
    job, tags, failed: [], cleared: [], fence: fence({ generation: set.generation, attempt: 1, dispatch: 1, activityAttempt: 1 }),
    items: passages.map(({ number, text, words, ...passage }) => ({
      key: String(number), row: number, inputHash: digest(text), handlerHash: 'passage', state: 'done', error: null, job, attempt: 1,
      input: JSON.stringify({ text }), output: JSON.stringify({ ...passage, fileName, title } satisfies About), text: words, tries: 1, tokens: passage.tokens, cost: null, latencyMs: 0,
    })),
  };
}

/** A hit as it is: of a row, or of a passage. */
export function hitOf(item: ItemHit): SearchHit {
  if (!item.source.startsWith(PASSAGE_SOURCES)) return item;
  const { source, lane, key, job, tags, updatedAt } = item;
  const { fileName, title } = item.output as unknown as About;
  return { kind: 'passage', document: lane.slice(0, lane.indexOf('/')), source, lane, key, job, passage: passageOf(item), fileName, title, tags, updatedAt };
}

export function passageOf({ row, input, output }: Pick<ItemHit, 'row' | 'input' | 'output'>): Passage {
  const { start, end, tokens, pages, headings, tableHeader } = output as unknown as About;
  return { number: row, text: String(input['text']), start, end, tokens, pages, headings, tableHeader };
}

/** Documents of the tenant with nearly the same text, by their MinHash. */
import type { DocumentRecord, Similarity } from '../contracts/document.ts';
import { similarityOf } from '../documents/similarity.ts';
import type { Store } from '../store/store.ts';

/** Documents that are compared, and those that are named. */
const MOST_COMPARED = 50;
const MOST_NAMED = 10;
/** 0–1: what counts as nearly the same. */
const ALIKE = 0.8;

/** The most alike first. Other versions of the same document are none. */
export async function similarDocuments(store: Store, { tenant, id, documentKey }: DocumentRecord, similarity: Similarity): Promise<DocumentRecord['similarTo']> {
  if (similarity.bands.length === 0) return [];
  const candidates = await store.findSimilar(tenant, similarity.bands, MOST_COMPARED);
  return candidates
    .filter((other) => other.id !== id && other.documentKey !== documentKey && other.similarity !== null)
    .map((other) => ({ document: other.id, similarity: similarityOf(similarity.minhash, other.similarity!.minhash) }))
    .filter(({ similarity: alike }) => alike >= ALIKE)
    .toSorted((one, two) => two.similarity - one.similarity)
    .slice(0, MOST_NAMED);
}

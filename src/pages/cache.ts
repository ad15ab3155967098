/** Pages that were read before, of one tenant, by address: objects `…/<hash of the address>/<when>`, so that what is old is known by its name. */
import { createHash } from 'node:crypto';
import { readText, writeText } from '../blobs/pages.ts';
import { blobKeys } from '../blobs/keys.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { SheafError } from '../contracts/errors.ts';
import type { WebPage } from './page.ts';

/** Raised where the same page would be read differently. */
const READING = 1;

export interface CachedPage {
  page: WebPage;
  /** What its server knows this state of the page by. */
  etag: string | null;
  lastModified: string | null;
}

export interface PageCache {
  find(url: string): Promise<CachedPage | null>;
  keep(url: string, cached: CachedPage): Promise<void>;
}

export function pageCache(blobs: Blobs, tenant: string): PageCache {
  const folderOf = (url: string): string => blobKeys.webPageFolder(tenant, createHash('sha256').update(`${READING} ${url}`).digest('base64url'));
  const keysOf = async (url: string): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of blobs.list(folderOf(url))) keys.push(key);
    return keys;
  };
  return {
    async find(url) {
      const newest = (await keysOf(url)).at(-1);
      if (newest === undefined) return null;
      try {
        return JSON.parse(await readText(blobs, newest)) as CachedPage;
      } catch (error) {
        // Replaced or swept just now, or damaged: the site still has it.
        if (error instanceof SheafError && error.code === 'blob_not_found') return null;
        throw error;
      }
    },

    async keep(url, cached) {
      const key = blobKeys.webPage(folderOf(url), Date.parse(cached.page.fetchedAt));
      await writeText(blobs, key, JSON.stringify(cached));
      for (const older of await keysOf(url)) if (older < key) await blobs.delete(older);
    },
  };
}

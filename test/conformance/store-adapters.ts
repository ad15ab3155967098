/** Every adapter of the store port, for the suite and for the processes that it starts. A new adapter is one entry. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openElasticsearchStore } from '../../src/store/elasticsearch.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { removeIndices } from '../servers/elasticsearch/remove-indices.ts';

export interface StoreAdapter {
  /** An empty store somewhere; the answer names it and crosses processes. */
  makePlace(): Promise<string>;
  open(place: string): Promise<Store>;
  removePlace(place: string): Promise<void>;
}

interface ElasticsearchPlace {
  url: string;
  prefix: string;
}

const elasticsearchPlace = (place: string): ElasticsearchPlace => JSON.parse(place) as ElasticsearchPlace;

export const storeAdapters = {
  sqlite: {
    makePlace: () => fs.mkdtemp(path.join(os.tmpdir(), 'sheaf-store-')),
    open: (folder) => openSqliteStore({ folder }),
    removePlace: (folder) => fs.rm(folder, { recursive: true, force: true }),
  },
  // Needs SHEAF_TEST_ELASTICSEARCH_URL; a prefix of its own on that server.
  elasticsearch: {
    makePlace: async () => JSON.stringify({ url: process.env['SHEAF_TEST_ELASTICSEARCH_URL'] ?? '', prefix: `test-${randomUUID()}` } satisfies ElasticsearchPlace),
    open: (place) => {
      const { url, prefix } = elasticsearchPlace(place);
      return openElasticsearchStore({ nodes: [url], prefix });
    },
    removePlace: (place) => {
      const { url, prefix } = elasticsearchPlace(place);
      return removeIndices(url, prefix);
    },
  },
} satisfies Record<string, StoreAdapter>;

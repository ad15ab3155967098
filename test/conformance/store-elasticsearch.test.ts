import { describe } from 'vitest';
import { sharedElasticsearch } from '../servers/elasticsearch/shared.ts';
import { orMissing } from '../servers/missing.ts';
import { storeAdapters } from './store-adapters.ts';
import { storeConformance } from './store.ts';

const url = await orMissing('for lack of Elasticsearch', sharedElasticsearch());
if (url !== null) process.env['SHEAF_TEST_ELASTICSEARCH_URL'] = url;

describe.skipIf(url === null)('on Elasticsearch', () => {
  storeConformance('elasticsearch', storeAdapters.elasticsearch);
});

import { describe } from 'vitest';
import { sharedElasticsearch } from '../servers/elasticsearch/shared.ts';
import { storeAdapters } from './store-adapters.ts';
import { storeConformance } from './store.ts';

const { url } = await sharedElasticsearch();
if (url !== undefined) process.env['SHEAF_TEST_ELASTICSEARCH_URL'] = url;

describe.skipIf(url === undefined)('on Elasticsearch', () => storeConformance('elasticsearch', storeAdapters.elasticsearch));

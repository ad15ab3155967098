import { storeAdapters } from './store-adapters.ts';
import { storeConformance } from './store.ts';

storeConformance('sqlite', storeAdapters.sqlite);

/** A source as the API defines it, with what a test cares about in `over` and `request`. */
import type { JobRequest } from '../../src/contracts/job.ts';
import type { SourceDefinition } from '../../src/contracts/source.ts';
import { TENANT } from './rig.ts';

export const definitionOf = (id: string, request: Partial<JobRequest> & Pick<JobRequest, 'location'>, over: Partial<SourceDefinition> = {}): SourceDefinition => ({
  name: 'מקור', description: null, versioning: 'content_hash', fetch: 'async', schedule: null, enabled: true, deletes: { mode: 'mark', maxFraction: 0.2 }, keepVersions: 30, set: 'sync.yaml', environment: null,
  job: {
    tenant: TENANT, owner: 'tester', source: id, lane: null, priority: 'normal', tags: ['תג'], runAt: null, dependsOn: [], onFailure: 'run',
    request: { fileName: `${id}.csv`, handler: 'store', options: {}, keyColumns: ['שם'], onDuplicateKey: 'fail', force: false, concurrency: null, breaker: null, drainSeconds: 0, ...request },
  },
  ...over,
});

/** Reports about cleanup: a document each, of no tenant. */
import type { CleanupReport } from '../../contracts/system.ts';
import type { CleanupStore } from '../ports/cleanup.ts';
import { bulk } from './bulk.ts';
import type { Cluster } from './connection.ts';
import { documentId, Documents } from './documents.ts';
import { NOBODY } from './figures.ts';

interface ReportSource {
  tenant: string;
  startedAt: string;
  step: number;
  body: string;
}

const KEPT_REPORTS = 100;

const reportId = (id: string): string => documentId('cleanup', id);
const reportOf = ({ body }: ReportSource): CleanupReport => JSON.parse(body) as CleanupReport;

export function cleanupMethods(cluster: Cluster): Pick<CleanupStore, 'writeCleanup' | 'getCleanup' | 'listCleanups'> {
  const reports = new Documents<ReportSource>(cluster, 'cleanups');

  const newest = async (from: number): Promise<{ id: string; report: CleanupReport }[]> => {
    const { hits } = await cluster.search<ReportSource>('cleanups', NOBODY, { sort: [{ startedAt: 'desc' }], from, size: KEPT_REPORTS, track_total_hits: false });
    return hits.hits.flatMap(({ _id, _source }) => (_id === undefined || _source === undefined ? [] : [{ id: _id, report: reportOf(_source) }]));
  };

  return {
    writeCleanup: async (report) => {
      await reports.change(NOBODY, reportId(report.id), (found) => {
        if (found !== null && found.step >= report.step) return { answer: undefined };
        return { write: { tenant: NOBODY, startedAt: report.startedAt, step: report.step, body: JSON.stringify(report) }, answer: undefined };
      });
      if (report.step > 0) return;
      const tooMany = await newest(KEPT_REPORTS);
      await bulk(cluster, tooMany.map(({ id }) => ({ kind: 'cleanups', tenant: NOBODY, id, source: null })));
    },

    getCleanup: async (id) => {
      const found = await reports.read(NOBODY, reportId(id));
      return found === null ? null : reportOf(found);
    },

    listCleanups: async () => (await newest(0)).map(({ report }) => report),
  };
}

/** Sources and their versions as the API shows them. */
import type { SourceAnswer, VersionAnswer } from '../contracts/source-api.ts';
import type { SourceDefinition, SourceRecord, VersionRecord } from '../contracts/source.ts';
import type { SourceClock } from '../temporal/sources.ts';

export function sourceAnswerOf(source: SourceRecord, clock?: SourceClock): SourceAnswer {
  const { definition: { job, ...definition } } = source;
  const { location, sheet, range, handler, options, keyColumns, maxCost } = job.request;
  return {
    id: source.id, tenant: source.tenant, owner: source.owner,
    location: { ...location }, ...(sheet !== undefined && { sheet }), ...(range !== undefined && { range }),
    handler, options, keyColumns, ...(maxCost !== undefined && { maxCost }), priority: job.priority, tags: job.tags, ...definition,
    ...(clock && { clock }), scheduled: source.scheduled, deleting: source.deleting,
    current: source.current, fetched: source.fetched, createdAt: source.createdAt, updatedAt: source.updatedAt,
  };
}

/** Names of what is defined otherwise. */
export function changedFields(before: SourceDefinition, after: SourceDefinition): string[] {
  const flat = ({ job: { request, priority, tags }, ...definition }: SourceDefinition): Record<string, unknown> => ({ ...request, priority, tags, ...definition });
  const [was, is] = [flat(before), flat(after)];
  return Object.keys({ ...was, ...is }).filter((name) => JSON.stringify(was[name]) !== JSON.stringify(is[name]));
}

export function versionAnswerOf({ current }: SourceRecord, version: VersionRecord): VersionAnswer {
  const { sequence, hash, state, job, fetchedAt, endedAt, rows, columns, keyColumns, base, counts, newColumns, lostColumns, goneKeys, asks } = version;
  return {
    sequence, hash, current: sequence === current, state, job, fetchedAt, endedAt, rows, columns: columns.map(({ name }) => name), keyColumns, base, counts,
    newColumns, lostColumns, goneKeys, asks: state === 'waiting' ? asks : null,
  };
}

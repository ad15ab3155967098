/** What commands about sources share: the file, its environment, and where that is. */
import type { Command } from 'commander';
import { clientsOf, type Context, contextOf } from './context.ts';
import { CommandFailure, wrongUsage } from './failure.ts';
import { nearest } from '../domain/nearest.ts';
import { type ListedSource, readSyncFile } from './sync-file.ts';

export interface SyncOptions {
  environment?: string;
  /** For commands that name a source instead of a file. */
  config?: string;
}

export const sourcePath = (id: string, rest = ''): string => `/sources/${encodeURIComponent(id)}${rest}`;

/** `file` null: only where the environment is matters. Its endpoint is asked, unless `--url` says another. */
export async function syncContext(command: Command, file: string | null, { environment, config }: SyncOptions): Promise<{ context: Context; sources: ListedSource[] }> {
  const context = contextOf(command);
  const named = file ?? config;
  if (named === undefined) return { context, sources: [] };
  const { sources, environments } = await readSyncFile(named, environment);
  const { url, tenant, owner } = command.optsWithGlobals<{ url?: string; tenant?: string; owner?: string }>();
  const { endpoint, tenant: its } = (environment === undefined ? undefined : environments[environment]) ?? {};
  if (endpoint === undefined && its === undefined) return { context, sources };
  return { context: { ...context, ...clientsOf({ url: url ?? endpoint ?? context.client.url, tenant: tenant ?? its, owner }) }, sources };
}

/** Those that were named, or have one of the tags; without either those that are enabled. Rejects with wrong usage for a name that the file has not. */
export function chosen(sources: ListedSource[], { sourceIds, tags, all = false }: { sourceIds?: string[] | undefined; tags?: string[] | undefined; all?: boolean }): ListedSource[] {
  const ids = sources.map(({ id }) => id);
  for (const id of sourceIds ?? []) {
    if (ids.includes(id)) continue;
    const near = nearest(id, ids);
    throw wrongUsage(`The file has no source ${id}.`, near === null ? undefined : `Did you mean ${near}?`);
  }
  return sources.filter(({ id, tags: its, enabled }) =>
    (sourceIds === undefined ? all || enabled : sourceIds.includes(id)) && (tags === undefined || tags.some((tag) => its.includes(tag))));
}

/** In the order of the items; at most so many at once. */
export async function inPool<T, R>(items: readonly T[], most: number, work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!, index);
    }
  }));
  return results;
}

/** What is wrong with one source: the others go on, unless nobody answers at all. */
export function problemOf(error: unknown): { code: string; message: string } {
  if (!(error instanceof CommandFailure) || error.problem.code === 'api_unreachable') throw error;
  return { code: error.problem.code, message: error.problem.message };
}

/** Looks at everything that a configuration stands on, and makes what servers need once. */
import type { Blobs } from './blobs/blobs.ts';
import { elasticsearchOptions, openStore, s3Options, temporalAddress } from './container.ts';
import type { SystemCheck } from './contracts/system-api.ts';
import type { Config } from './config.ts';
import { SheafError } from './contracts/errors.ts';
import type { Probe } from './contracts/probe.ts';
import type { Store } from './store/store.ts';
import { storageIdentity } from './storage-identity.ts';
import { checkClaim } from './temporal/claim.ts';
import { temporalClient } from './temporal/connection.ts';
import { prepareTemporal } from './temporal/prepare.ts';
import { temporalProbes } from './temporal/probes.ts';

/** A look that takes longer has found that something is wrong. */
const PATIENCE_MS = 15_000;
const TEMPORAL_MS = 5_000;

/** Never rejects. Of a server that does not answer only that is told. `open`: what this process works with; null: nothing is made or opened. */
export async function diagnose(config: Config, open: { store: Store; blobs: Blobs } | null): Promise<SystemCheck[]> {
  const parts = await Promise.all([
    diagnoseTemporal(config),
    ...(config.SHEAF_STORE === 'elasticsearch' ? [diagnoseElasticsearch(config)] : []),
    ...(config.SHEAF_BLOBS === 's3' ? [diagnoseS3(config)] : []),
    ...(open === null ? [] : [...ownProbes(config, open).map((probe) => look([probe])), diagnoseClaim(config, open)]),
  ]);
  return parts.flat();
}

function ownProbes(config: Config, { store, blobs }: { store: Store; blobs: Blobs }): Probe[] {
  const used = (name: string, kind: string, check: () => Promise<void>): Probe => ({
    name,
    async look() {
      await check();
      return `${kind}: can be written and read`;
    },
  });
  return [used('store', config.SHEAF_STORE, () => store.check()), used('blobs', config.SHEAF_BLOBS, () => blobs.check())];
}

async function diagnoseTemporal(config: Config): Promise<SystemCheck[]> {
  const { client, close } = temporalClient(temporalAddress(config), config.SHEAF_TEMPORAL_NAMESPACE);
  return look(temporalProbes(client, temporalAddress(config), config.SHEAF_TEMPORAL_NAMESPACE)).finally(close);
}

/** Whether jobs of this process would be found by the namespace's workers. Temporal's own probes say where it is away. */
async function diagnoseClaim(config: Config, { store, blobs }: { store: Store; blobs: Blobs }): Promise<SystemCheck[]> {
  const { client, close } = temporalClient(temporalAddress(config), config.SHEAF_TEMPORAL_NAMESPACE);
  return look([{
    name: 'installation',
    async look() {
      try {
        await client.withDeadline(Date.now() + TEMPORAL_MS, async () => checkClaim(client, await storageIdentity(store, blobs)));
      } catch (error) {
        if (error instanceof SheafError) throw error;
        return 'not known while Temporal does not answer';
      }
      return `the workers of ${config.SHEAF_TEMPORAL_NAMESPACE} keep jobs where this process does`;
    },
  }]).finally(close);
}

async function diagnoseElasticsearch(config: Config): Promise<SystemCheck[]> {
  return opened('Elasticsearch', async () => {
    const { elasticsearchProbes } = await import('./store/elasticsearch/probes.ts');
    const { probes, close } = elasticsearchProbes(elasticsearchOptions(config));
    return look(probes).finally(close);
  });
}

async function diagnoseS3(config: Config): Promise<SystemCheck[]> {
  return opened('S3', async () => {
    const { s3Probes } = await import('./blobs/s3/probes.ts');
    return look(await s3Probes(s3Options(config)));
  });
}

/** What the configuration names may be wrong before anything was asked: a certificate file, say. */
const opened = (name: string, work: () => Promise<SystemCheck[]>): Promise<SystemCheck[]> => work().catch((error: unknown) => [failed(name, error)]);

async function look(probes: Probe[]): Promise<SystemCheck[]> {
  const checks: SystemCheck[] = [];
  for (const [index, { name, look }] of probes.entries()) {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new SheafError('internal', `No answer within ${PATIENCE_MS / 1000} s.`, { remedy: 'See whether it is overloaded, and whether the network to it is whole.' })), PATIENCE_MS);
    });
    try {
      checks.push({ name, ok: true, found: await Promise.race([look(), tooLate]) });
    } catch (error) {
      checks.push(failed(name, error));
      if (index === 0) break;
    } finally {
      clearTimeout(timer);
    }
  }
  return checks;
}

function failed(name: string, error: unknown): SystemCheck {
  if (!(error instanceof SheafError)) return { name, ok: false, found: 'the look at it failed', remedy: 'See the log of the API.' };
  return { name, ok: false, found: error.message, ...(error.remedy !== undefined && { remedy: error.remedy }) };
}

/**
 * Makes what is missing: namespace, search attributes, bucket, indices. Answers what it made, for people. May be done
 * again. Rejects with `temporal_unavailable`, `store_unavailable`, `schema_too_new`, `schema_outdated`, `blobs_unavailable`.
 */
export async function prepare(config: Config): Promise<string[]> {
  const made: string[] = [];
  const { client, close } = temporalClient(temporalAddress(config), config.SHEAF_TEMPORAL_NAMESPACE);
  try {
    made.push(...(await prepareTemporal(client, config.SHEAF_TEMPORAL_NAMESPACE)));
  } catch (error) {
    throw new SheafError('temporal_unavailable', `Temporal at ${temporalAddress(config)} cannot be prepared: ${error instanceof Error ? error.message : String(error)}.`, {
      remedy: 'Start it, or correct SHEAF_TEMPORAL_ADDRESS (host:port).', cause: error,
    });
  } finally {
    await close();
  }
  if (config.SHEAF_BLOBS === 's3') {
    const { prepareS3 } = await import('./blobs/s3/prepare.ts');
    made.push(...(await prepareS3(s3Options(config))));
  }
  await (await openStore(config)).close(); // makes its indices, or tables
  return made;
}

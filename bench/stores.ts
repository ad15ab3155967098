/**
 * The same work on the embedded stores and on those of a team, side by side: a 200,000-row CSV with handler `store`, each
 * against a bare script that streams the same file into the same store; the same again, unchanged; memory; searches.
 */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openElasticsearchStore } from '../src/store/elasticsearch.ts';
import { removeIndices } from '../test/servers/elasticsearch/remove-indices.ts';
import { startElasticsearch } from '../test/servers/elasticsearch/server.ts';
import { startS3 } from '../test/servers/s3.ts';
import { median, megabytes, percentile, seconds } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

const SEARCHES = 50;
/**
 * Rounds and, in each of them, jobs before anything is measured on a server: one that runs has long compiled what requests take, one that has
 * just started does it on the way. Small jobs have requests of all kinds, large ones as many rows as it takes.
 */
const WARMING = { rounds: 3, small: 10, large: 2 };

interface Run {
  /** Seconds. */
  bare: number;
  first: number;
  again: number;
  handledAgain: number;
  /** Seconds of the worker's CPU in the first run. */
  cpu: number;
  /** Bytes. */
  idle: number;
  peakSmall: number;
  peakLarge: number;
  searches: number[];
}

/** One kind of stores: what its stack's environment is, and its bare script. */
interface Place {
  name: string;
  stores: Record<string, string>;
  /** Resolves with its seconds. */
  bare(sheet: string, round: number): Promise<number>;
  /** It runs before Sheaf does, and after. */
  server: boolean;
  /** After each round. */
  empty(): Promise<void>;
}

export async function stores({ folder, rounds, scale, say }: Setting): Promise<Measure> {
  const rows = Math.round(200_000 * scale);
  const sheets = { large: await makeSheet(folder, rows), small: await makeSheet(folder, 10_000) };
  const url = process.env['SHEAF_TEST_ELASTICSEARCH_URL'];
  const server = url === undefined ? await startElasticsearch() : null;
  const s3 = await startS3();
  const places = [embedded(folder), team(server?.url ?? url!, s3)];
  const runs = places.map((): Run[] => []);
  try {
    for (let round = 1 - WARMING.rounds; round <= rounds; round++) {
      // They take turns in being first, so that neither always has the machine as the other leaves it.
      for (const index of round % 2 === 0 ? [0, 1] : [1, 0]) {
        const place = places[index]!;
        if (round < 0 && !place.server) continue;
        const run = await oneRound(place, folder, sheets, rows, round);
        await place.empty();
        if (round > 0) runs[index]!.push(run);
        say(`${round <= 0 ? 'warming up' : `round ${round}`}, ${place.name}: bare ${seconds(run.bare)}, Sheaf ${seconds(run.first)}, again ${seconds(run.again)}`);
      }
    }
  } finally {
    await Promise.all([server?.stop(), s3.stop()]);
  }
  return report(rows, rounds, places, runs);
}

async function oneRound({ stores, bare, name, server }: Place, folder: string, sheets: { large: string; small: string }, rows: number, round: number): Promise<Run> {
  const bareSeconds = await bare(sheets.large, round);
  const stack = await benchStack(folder, `${name.replaceAll(/\W+/g, '-')}-${round}`, folder, stores);
  try {
    if (round <= 0 && server) {
      for (let job = 0; job < WARMING.small; job++) await stack.run({ source: { path: sheets.small }, keyColumns: ['id'], force: true });
      for (let job = 0; job < WARMING.large; job++) await stack.run({ source: { path: sheets.large }, keyColumns: ['id'], lane: `warming-${job}` });
    }
    const idle = await stack.workerPeak();
    await stack.run({ source: { path: sheets.small }, keyColumns: ['id'] });
    const peakSmall = await stack.workerPeak();
    const cpuBefore = await stack.workerCpu();
    const first = await stack.run({ source: { path: sheets.large }, keyColumns: ['id'] });
    const cpu = (await stack.workerCpu()) - cpuBefore;
    const peakLarge = await stack.workerPeak();
    const again = await stack.run({ source: { path: sheets.large }, keyColumns: ['id'] });
    const searches: number[] = [];
    for (let search = 0; search < SEARCHES; search++) {
      const startedAt = performance.now();
      await stack.client.call('GET', `/search?q=${encodeURIComponent(`larch "city ${search}"`)}`);
      searches.push(performance.now() - startedAt);
    }
    return { bare: bareSeconds, first: first.seconds, again: again.seconds, handledAgain: rows - again.job.progress.unchanged, cpu, idle, peakSmall, peakLarge, searches };
  } finally {
    await stack.stop();
  }
}

const script = (name: string, ...args: string[]): Promise<{ stdout: string }> =>
  promisify(execFile)(process.execPath, [fileURLToPath(new URL(name, import.meta.url)), ...args]);

function embedded(folder: string): Place {
  return {
    name: 'SQLite + files',
    server: false,
    stores: {},
    async bare(sheet, round) {
      const startedAt = performance.now();
      await script('bare-csv.ts', sheet, path.join(folder, `bare-stores-${round}.db`));
      return (performance.now() - startedAt) / 1000;
    },
    empty: () => Promise.resolve(),
  };
}

function team(url: string, { endpoint, region, bucket, credentials }: Awaited<ReturnType<typeof startS3>>): Place {
  const prefix = 'bench-stores';
  const barePrefix = 'bench-bare';
  return {
    name: 'Elasticsearch + S3',
    server: true,
    stores: {
      SHEAF_STORE: 'elasticsearch', ELASTICSEARCH_URL: url, SHEAF_ELASTICSEARCH_PREFIX: prefix,
      SHEAF_BLOBS: 's3', S3_ENDPOINT: endpoint, S3_REGION: region, S3_BUCKET: bucket, ...credentials,
    },
    async bare(sheet) {
      await (await openElasticsearchStore({ nodes: [url], prefix: barePrefix })).close(); // makes the index
      const { stdout } = await script('bare-elasticsearch.ts', sheet, url, barePrefix);
      await removeIndices(url, barePrefix);
      return Number(stdout);
    },
    empty: () => removeIndices(url, prefix),
  };
}

function report(rows: number, rounds: number, places: Place[], runs: Run[][]): Measure {
  const of = (index: number, value: (run: Run) => number): number => median(runs[index]!.map(value));
  const ratio = (run: Run): number => run.first / run.bare;
  const line = (what: string, value: (run: Run) => number, text: (value: number) => string): string[] =>
    [what, ...places.map((_, index) => text(of(index, value)))];
  const milliseconds = (value: number): string => `${Math.round(value)} ms`;
  const searches = (percent: number) => (run: Run): number => percentile(run.searches, percent);
  const figures = [
    { what: 'time on Elasticsearch + S3, Sheaf / bare script', measured: of(1, ratio).toFixed(2), budget: '≤ 1.4', held: of(1, ratio) <= 1.4 },
  ];
  for (const [index, { name }] of places.entries()) {
    const memory = of(index, ({ peakLarge, peakSmall }) => peakLarge / peakSmall);
    const above = of(index, ({ peakLarge, idle }) => peakLarge - idle);
    const handled = Math.max(...runs[index]!.map(({ handledAgain }) => handledAgain));
    figures.push(
      { what: `${name}: worker's peak memory / that of a 10,000-row job`, measured: memory.toFixed(2), budget: '≤ 1.2', held: memory <= 1.2 },
      { what: `${name}: worker's peak memory above idle`, measured: megabytes(above), budget: '≤ 200 MB', held: above <= 200e6 },
      { what: `${name}: rows handled again when nothing changed`, measured: String(handled), budget: '0', held: handled === 0 },
    );
  }
  return {
    title: `${rows.toLocaleString('en')} rows, handler store (medians of ${rounds})`,
    sideBySide: {
      head: places.map(({ name }) => name),
      lines: [
        line('bare script', ({ bare }) => bare, seconds),
        line('Sheaf', ({ first }) => first, seconds),
        line('Sheaf / bare script', ratio, (value) => value.toFixed(2)),
        line('rows a second', ({ first }) => rows / first, (value) => Math.round(value).toLocaleString('en')),
        line("worker's CPU", ({ cpu }) => cpu, seconds),
        line('again, unchanged', ({ again }) => again, seconds),
        line("worker's memory, idle", ({ idle }) => idle, megabytes),
        line('at most, 10,000 rows', ({ peakSmall }) => peakSmall, megabytes),
        line('at most', ({ peakLarge }) => peakLarge, megabytes),
        line('search, p50', searches(50), milliseconds),
        line('search, p99', searches(99), milliseconds),
      ],
    },
    figures,
    details: { rows, runs: Object.fromEntries(places.map(({ name }, index) => [name, runs[index]])) },
  };
}

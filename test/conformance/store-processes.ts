/** What every store does for several processes at once, and for one that is killed. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { hitsOf } from './store-hits.ts';
import { aLane, RACES, SUB_BATCH, walk } from './store-samples.ts';

const CHILD = path.join(import.meta.dirname, 'store-child.ts');

export function processesConformance(adapter: string, stores: () => { store: Store; place: string }): void {
  const children: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  const start = (role: string, name: string): { child: ChildProcess; lines: AsyncIterator<string> } => {
    const child = spawn(process.execPath, [CHILD, adapter, stores().place, role, name], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    return { child, lines: createInterface({ input: child.stdout! })[Symbol.asyncIterator]() };
  };

  describe('several processes', () => {
    it('never both win a key, a lane or an item', async () => {
      const { store } = stores();
      const racers = [start('race', 'a'), start('race', 'b')];
      for (const { lines } of racers) expect((await lines.next()).value).toBe('ready');
      for (const { child } of racers) child.stdin!.write('go\n');
      const [a, b] = await Promise.all(racers.map(async ({ lines }) => JSON.parse((await lines.next()).value) as { created: boolean[]; granted: boolean[] }));
      for (let n = 0; n < RACES; n++) {
        expect([a!.created[n], b!.created[n]].filter(Boolean)).toHaveLength(1);
        expect([a!.granted[n], b!.granted[n]].filter(Boolean)).toHaveLength(1);
      }
      expect(await walk((page) => store.listJobs('acme', {}, page), 50)).toHaveLength(RACES);
      expect((await store.readItems(aLane(), ['contested'])).get('contested')?.output).toBe(String(2 * RACES - 1));
    });

    it.each([1, 7, 23])('lose nothing acknowledged when one is killed after %i sub-batches, and the other goes on', async (after) => {
      const { store } = stores();
      const victim = start('write', 'victim');
      const survivor = start('write', 'survivor');
      let acknowledged = -1;
      while (acknowledged + 1 < after) acknowledged = Number((await victim.lines.next()).value);
      victim.child.kill('SIGKILL');
      // What it had said before it died counts too.
      for (let line = await victim.lines.next(); !line.done; line = await victim.lines.next()) acknowledged = Number(line.value);

      const batches = acknowledged + 1;
      const keys = Array.from({ length: batches * SUB_BATCH }, (_, n) => `k${n}`);
      expect((await store.readItems(aLane({ lane: 'victim' }), keys)).size).toBe(keys.length);
      expect((await store.listFailedRows('acme', 'victim', {}, { limit: batches })).items.map(({ row }) => row)).toEqual(Array.from({ length: batches }, (_, n) => n));
      expect((await store.jobTotals('acme', 'victim', 1)).done).toBeGreaterThanOrEqual(keys.length);
      expect((await store.listEvents('acme', 'victim', { limit: batches })).items).toHaveLength(batches);
      const hits = await hitsOf(store, `word${keys.length - 1}`);
      expect(hits.map(({ lane }) => lane)).toContain('victim');
      // A sub-batch is whole or not there: nothing half of the one that was being written.
      const next = Array.from({ length: SUB_BATCH }, (_, n) => `k${keys.length + n}`);
      expect([0, SUB_BATCH]).toContain((await store.readItems(aLane({ lane: 'victim' }), next)).size);

      for (let more = 0; more < 3; more++) expect((await survivor.lines.next()).done).toBe(false);
    });
  });
}

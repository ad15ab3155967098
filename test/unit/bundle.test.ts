import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { WORKFLOWS } from '../../src/contracts/messages.ts';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';

test('the workflow bundle holds every workflow, and is made once for the same sources, by several at a time too', async () => {
  const [file, same] = await Promise.all([bundleWorkflows(), bundleWorkflows()]);
  expect(same).toBe(file);
  const code = await readFile(file, 'utf8');
  for (const name of Object.values(WORKFLOWS)) expect(code).toContain(name);
  expect((await readdir(path.dirname(file))).filter((name) => name.startsWith(`${path.basename(file)}.`))).toEqual([]);
  expect(await bundleWorkflows()).toBe(file);
});

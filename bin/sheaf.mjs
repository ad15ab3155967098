#!/usr/bin/env node
// The `sheaf` command of a checkout: runs the CLI on a Node that can.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runOn } from '../scripts/run-on.mjs';
import { nodeForSheaf, runningNodeIsEnough } from '../scripts/pinned-node.mjs';

const main = new URL('../src/cli/main.ts', import.meta.url);
if (!existsSync(new URL('../node_modules', import.meta.url))) {
  process.stderr.write('The dependencies are not installed. Run "npm start", or "node scripts/setup.mjs".\n');
  process.exitCode = 1;
} else if (runningNodeIsEnough()) {
  await import(main.href);
} else {
  try {
    process.exitCode = await runOn(nodeForSheaf(), [fileURLToPath(main), ...process.argv.slice(2)]);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

// `npm start [-- FILE …]`: the setup, then the embedded stack with a first job.
import path from 'node:path';
import { runOn } from './run-on.mjs';
import { root, setup } from './setup.mjs';

try {
  const node = await setup();
  process.exitCode = await runOn(node, [path.join(root, 'src/cli/main.ts'), 'start', '--sample', ...process.argv.slice(2)]);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

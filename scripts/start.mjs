// `npm start [-- FILE …]`: the setup, then the embedded stack with a first job. `npm start -- --demo google`: one on a Google Sheet, without an account.
import path from 'node:path';
import { runOn } from './run-on.mjs';
import { root, setup } from './setup.mjs';

try {
  const node = await setup();
  const [first, second, ...rest] = process.argv.slice(2);
  process.exitCode = await (first === '--demo' && second === 'google'
    ? runOn(node, [path.join(root, 'test/servers/google/demo.ts'), ...rest])
    : runOn(node, [path.join(root, 'src/cli/main.ts'), 'start', '--sample', ...process.argv.slice(2)]));
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

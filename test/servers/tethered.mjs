// Runs a server that must not outlive the tests: `node tethered.mjs BINARY ARGUMENTS…`. When the IPC channel to the
// test run closes, for whatever reason, the server is ended. A message names a signal that the server is to get.
import { spawn } from 'node:child_process';

const [binary, ...args] = process.argv.slice(2);
const child = spawn(binary, args, { stdio: ['ignore', 'inherit', 'inherit'] });
child.once('exit', (code) => process.exit(code ?? 1));
child.once('error', (error) => {
  console.error(`${binary}: ${error.message}`);
  process.exit(1);
});
for (const event of ['SIGINT', 'SIGTERM', 'disconnect']) process.on(event, () => child.kill('SIGTERM'));
process.on('message', (signal) => child.kill(signal));

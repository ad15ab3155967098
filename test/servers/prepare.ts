/** The part of the setup that only the tests need. Prints, as JSON, phrases that say what it did. */
import { prepareTimeSkippingServer } from './time-skipping/server.ts';

try {
  process.stdout.write(JSON.stringify([`time-skipping test server from ${await prepareTimeSkippingServer()}`]));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

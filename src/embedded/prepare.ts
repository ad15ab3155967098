/** The part of the setup that needs the dependencies. Prints, as JSON, phrases that say what it did. */
import { bundleWorkflows } from '../temporal/bundle.ts';
import { temporalCli } from './make-temporal-cli.ts';

try {
  const cli = await temporalCli();
  await bundleWorkflows();
  process.stdout.write(JSON.stringify([`Temporal CLI from ${cli.from}`]));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

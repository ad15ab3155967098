/** `sdk-download-process.ts WHAT VERSION FOLDER`: lets the SDK download a server into the folder and start it once. */
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { TestWorkflowEnvironment } from '@temporalio/testing';

const [what, version = '', downloadDir = ''] = process.argv.slice(2);
const executable = { type: 'cached-download', version: `v${version}`, downloadDir, ttl: '1 year' } as const;
try {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const environment = what === 'test-server'
    ? await TestWorkflowEnvironment.createTimeSkipping({ server: { executable } })
    : await TestWorkflowEnvironment.createLocal({ server: { executable } });
  await environment.teardown();
  process.exit(0);
} catch (error) {
  // The innermost cause says it: "failed to lookup address information", "403 Forbidden".
  process.stderr.write(`${(error instanceof Error ? error.message : String(error)).split(': ').slice(-2).join(': ')}\n`);
  process.exit(1);
}

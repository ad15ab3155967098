/** The part of the setup that only the tests need. Prints, as JSON, phrases that say what it did. */
import { dockerAnswers } from './docker.ts';
import { builtNode } from './elasticsearch/build.ts';
import { findJdk } from './elasticsearch/jdk.ts';
import { builtGateway } from './s3/build.ts';
import { prepareTimeSkippingServer } from './time-skipping/server.ts';

try {
  const did = [`time-skipping test server from ${await prepareTimeSkippingServer()}`];
  if (!(await dockerAnswers())) did.push(...(await buildServers()));
  process.stdout.write(JSON.stringify(did));
} catch (error) {
  process.stderr.write(`${errorText(error)}\n`);
  process.exitCode = 1;
}

/** Building a server may take minutes, longer than a test has. One that cannot be built is named by the tests that need it. */
async function buildServers(): Promise<string[]> {
  const did: string[] = [];
  const build = async (name: string, given: string | undefined, make: () => Promise<unknown>): Promise<void> => {
    if (given) return;
    try {
      await make();
      did.push(`${name} for the tests ready`);
    } catch (error) {
      process.stderr.write(`${name} for the tests: ${errorText(error)}\n`);
    }
  };
  await build('S3 server', process.env['SHEAF_TEST_S3_ENDPOINT'], builtGateway);
  await build('Elasticsearch', process.env['SHEAF_TEST_ELASTICSEARCH_URL'], async () => {
    const jdk = await findJdk();
    if (jdk === null) throw new Error('there is no JDK of version 21 or later');
    await builtNode(jdk);
  });
  return did;
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

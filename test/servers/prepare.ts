/** The part of the setup that only the tests need. Prints, as JSON, phrases that say what it did. */
import { installedClamd, installedTesseract } from './clamav/install.ts';
import { dockerAnswers } from './docker.ts';
import { builtNode } from './elasticsearch/build.ts';
import { findJdk } from './elasticsearch/jdk.ts';
import { builtGateway } from './s3/build.ts';
import { prepareTimeSkippingServer } from './time-skipping/server.ts';

try {
  const did = [`time-skipping test server from ${await prepareTimeSkippingServer()}`];
  did.push(...(await prepareOne('malware scanner', process.env['SHEAF_TEST_CLAMAV'], installedClamd)), ...(await prepareOne('OCR', undefined, installedTesseract)));
  if (!(await dockerAnswers())) did.push(...(await buildServers()));
  process.stdout.write(JSON.stringify(did));
} catch (error) {
  process.stderr.write(`${errorText(error)}\n`);
  process.exitCode = 1;
}

/** Building a server may take minutes, longer than a test has. */
async function buildServers(): Promise<string[]> {
  return [
    ...(await prepareOne('S3 server', process.env['SHEAF_TEST_S3_ENDPOINT'], builtGateway)),
    ...(await prepareOne('Elasticsearch', process.env['SHEAF_TEST_ELASTICSEARCH_URL'], async () => {
      const jdk = await findJdk();
      if (jdk === null) throw new Error('there is no JDK of version 21 or later');
      await builtNode(jdk);
    })),
  ];
}

/** One that cannot be had is named by the tests that need it. */
async function prepareOne(name: string, given: string | undefined, make: () => Promise<unknown>): Promise<string[]> {
  if (given) return [];
  try {
    await make();
    return [`${name} for the tests ready`];
  } catch (error) {
    process.stderr.write(`${name} for the tests: ${errorText(error)}\n`);
    return [];
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

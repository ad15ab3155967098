/** What `sheaf system check` looks at in an S3 server. */
import { SheafError } from '../../contracts/errors.ts';
import type { Probe } from '../../contracts/probe.ts';
import { openS3Blobs, type S3BlobsOptions } from '../s3.ts';

/** Requests that are signed with a clock so far off are refused. */
const MOST_SKEW_MS = 5 * 60_000;
const PATIENCE_MS = 5_000;

export async function s3Probes(options: S3BlobsOptions): Promise<Probe[]> {
  const blobs = await openS3Blobs(options);
  return [
    {
      name: 'S3',
      async look() {
        await blobs.check();
        return `bucket ${options.bucket}${options.endpoint === undefined ? '' : ` at ${options.endpoint}`}: an object was written, read, listed and deleted`;
      },
    },
    {
      name: 'clock',
      async look() {
        const address = options.endpoint ?? `https://${options.bucket}.s3.amazonaws.com`;
        const asked = Date.now();
        // Any answer has the time, a refusal too. One whose certificate only S3_CA_FILE vouches for has been reached above.
        const date = await fetch(address, { method: 'HEAD', signal: AbortSignal.timeout(PATIENCE_MS) }).then(({ headers }) => headers.get('date'), () => null);
        if (date === null) return 'the S3 server does not tell the time';
        const skewMs = Date.parse(date) - (asked + Date.now()) / 2;
        const seconds = `${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs < 0 ? 'ahead of' : 'behind'} the S3 server`;
        if (Math.abs(skewMs) > MOST_SKEW_MS) throw new SheafError('blobs_unavailable', `This machine's clock is ${seconds}.`, { remedy: 'Set the clocks by NTP: the S3 server refuses requests that are 15 minutes off.' });
        return Math.abs(skewMs) < 2_000 ? 'agrees with the S3 server' : seconds;
      },
    },
  ];
}

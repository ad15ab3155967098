import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { openBucket, type S3BlobsOptions } from './bucket.ts';
import { isMissing, s3Error } from './errors.ts';

/** Makes the bucket where it is missing. Answers what it made, for people. Rejects with `blobs_unavailable`. */
export async function prepareS3(options: S3BlobsOptions): Promise<string[]> {
  const { client, at } = await openBucket(options);
  try {
    await client.send(new HeadBucketCommand(at));
    return [];
  } catch (error) {
    if (!isMissing(error)) throw s3Error(error, `of the bucket ${options.bucket}`);
  }
  try {
    await client.send(new CreateBucketCommand(at));
    return [`bucket ${options.bucket}`];
  } catch (error) {
    throw s3Error(error, `of the bucket ${options.bucket}`);
  } finally {
    client.destroy();
  }
}

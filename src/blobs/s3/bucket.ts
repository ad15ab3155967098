/** The bucket, how it is reached, and what each of our keys is called in it. */
import { readFile } from 'node:fs/promises';
import https from 'node:https';
import { rootCertificates } from 'node:tls';
import { S3Client, type S3ClientConfig, type ServerSideEncryption } from '@aws-sdk/client-s3';
import { SheafError } from '../../contracts/errors.ts';
import { keyPath } from '../filesystem/paths.ts';

export interface S3BlobsOptions {
  bucket: string;
  /** URL of an S3-compatible server; absent: AWS. */
  endpoint?: string;
  /** Absent: the SDK's own finding, and `us-east-1` where there is an endpoint. */
  region?: string;
  /** The bucket in the path instead of the host name; absent: where there is an endpoint. */
  forcePathStyle?: boolean;
  /** Folder in the bucket for everything. */
  prefix?: string;
  /** PEM file of authorities that the server's certificate may be signed by, beside the well-known ones. */
  caFile?: string;
  /** Server-side encryption; absent: what the bucket does by default. */
  sse?: 'AES256' | 'aws:kms';
  sseKmsKeyId?: string;
}

export interface Bucket {
  client: S3Client;
  /** What every request names. */
  at: { Bucket: string };
  /** What every request that makes an object says. */
  making: { ServerSideEncryption?: ServerSideEncryption; SSEKMSKeyId?: string; ChecksumAlgorithm: 'CRC32' };
  /** Empty, or ends in `/`. */
  root: string;
  /** Throws `invalid_request` for a key that the port does not allow. */
  nameOf(key: string): string;
  /** Null: what others put there. */
  keyOf(name: string): string | null;
}

/** First try and repetitions of a request; waits grow up to some seconds. */
const TRIES = 6;
const CONNECT_MS = 5_000;
/** A connection on which nothing moves. */
const SILENCE_MS = 30_000;

/** Rejects with `blobs_unavailable` when the certificate file cannot be read. */
export async function openBucket(options: S3BlobsOptions): Promise<Bucket> {
  const { endpoint, region = endpoint === undefined ? undefined : (process.env['AWS_REGION'] ?? 'us-east-1') } = options;
  const config: S3ClientConfig = {
    maxAttempts: TRIES,
    // It would write to the console; what matters is in the errors.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    forcePathStyle: options.forcePathStyle ?? endpoint !== undefined,
    requestHandler: {
      connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS,
      ...(options.caFile !== undefined && { httpsAgent: new https.Agent({ keepAlive: true, maxSockets: 50, ca: [...rootCertificates, await readAuthorities(options.caFile)] }) }),
    },
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
  };
  const prefix = (options.prefix ?? '').split('/').filter(Boolean).join('/');
  const root = prefix === '' ? '' : `${prefix}/`;
  return {
    client: new S3Client(config),
    at: { Bucket: options.bucket },
    making: {
      ChecksumAlgorithm: 'CRC32',
      ...(options.sse !== undefined && { ServerSideEncryption: options.sse }),
      ...(options.sseKmsKeyId !== undefined && { SSEKMSKeyId: options.sseKmsKeyId }),
    },
    root,
    nameOf(key) {
      keyPath(key);
      return root + key;
    },
    keyOf(name) {
      const key = name.slice(root.length);
      try {
        keyPath(key);
        return key;
      } catch {
        return null;
      }
    },
  };
}

async function readAuthorities(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new SheafError('blobs_unavailable', 'The file that S3_CA_FILE names cannot be read.', {
      remedy: 'Set S3_CA_FILE to a PEM file that the user of this process may read.', cause: error,
    });
  }
}

/** What an S3 server's refusals, and its silence, mean here and what a person can do about them. */
import { SheafError } from '../../contracts/errors.ts';
import { noUpload } from '../parts.ts';

const CREDENTIALS = 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role that the SDK finds.';
const RIGHTS = 'Allow the credentials s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts on the objects, s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and the use of the KMS key where S3_SSE is aws:kms.';
const ENDPOINT = 'Check S3_ENDPOINT, and that the server runs and is reached from here.';
const REGION = "Set S3_REGION to the bucket's region.";
const CERTIFICATE = 'Set S3_CA_FILE to the PEM file of the authority that signed the certificate of the server.';
const FULL = 'The server has no room left: free some, or raise the quota.';

const REMEDIES: Record<string, string> = {
  NoSuchBucket: 'Make the bucket, or set S3_BUCKET to one that exists.',
  AccessDenied: RIGHTS,
  AllAccessDisabled: RIGHTS,
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  CredentialsProviderError: CREDENTIALS,
  ExpiredToken: 'The credentials have expired: renew them.',
  InvalidToken: 'The credentials have expired: renew them.',
  RequestTimeTooSkewed: 'The clocks of this machine and of the server differ by more than 15 minutes: set them by NTP.',
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  SlowDown: 'The server asks for fewer requests at once. What was asked is tried again.',
  ServerSideEncryptionConfigurationNotFoundError: 'Check S3_SSE and S3_SSE_KMS_KEY_ID.',
  XMinioStorageFull: FULL,
  QuotaExceeded: FULL,
  ECONNREFUSED: ENDPOINT,
  ECONNRESET: ENDPOINT,
  ENOTFOUND: ENDPOINT,
  EAI_AGAIN: ENDPOINT,
  ETIMEDOUT: ENDPOINT,
  EPIPE: ENDPOINT,
  TimeoutError: ENDPOINT,
  DEPTH_ZERO_SELF_SIGNED_CERT: CERTIFICATE,
  SELF_SIGNED_CERT_IN_CHAIN: CERTIFICATE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CERTIFICATE,
  CERT_HAS_EXPIRED: "Renew the server's certificate.",
  ERR_TLS_CERT_ALTNAME_INVALID: "Use the name in S3_ENDPOINT that the server's certificate has.",
};
/** Answers to HEAD have no body, and so no name. */
const BY_STATUS: Record<number, string> = { 301: 'PermanentRedirect', 403: 'AccessDenied', 503: 'SlowDown', 507: 'QuotaExceeded' };

/** versitygw's names for a key that is the folder of others, or the other way round. */
const OBJECT_OR_FOLDER = new Set(['ObjectParentIsFile', 'ExistingObjectIsDirectory']);
const WRONG_BYTES = new Set(['BadDigest', 'XAmzContentChecksumMismatch', 'XAmzContentSHA256Mismatch', 'InvalidDigest']);

const field = (error: object, name: string): unknown => (name in error ? (error as Record<string, unknown>)[name] : undefined);

/** The server's or the system's name for what went wrong; empty when there is none. */
export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const code = field(error, 'code') ?? field(error, 'Code');
  return typeof code === 'string' && !('$metadata' in error && error.name in REMEDIES) ? code : error.name;
}

export function statusOf(error: unknown): number | undefined {
  const metadata = error instanceof Error ? field(error, '$metadata') : undefined;
  const status = typeof metadata === 'object' && metadata !== null ? field(metadata, 'httpStatusCode') : undefined;
  return typeof status === 'number' ? status : undefined;
}

export const isMissing = (error: unknown): boolean => ['NoSuchKey', 'NotFound'].includes(nameOf(error));

export function notFound(key: string): SheafError {
  return new SheafError('blob_not_found', `The stored object ${key} is missing.`, {
    remedy: 'It was deleted, or S3_BUCKET or S3_PREFIX are not those that it was written to.',
  });
}

export function damaged(key: string): SheafError {
  return new SheafError('checksum_mismatch', `The stored object ${key} did not arrive with the checksum that it was written with.`, {
    remedy: 'If it stays so, the object is damaged: restore it from a backup.',
  });
}

/** `key`: what the request was about. Errors of ours, and bugs, stay as they are. */
export function s3Error(error: unknown, key: string): unknown {
  if (error instanceof SheafError || error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError) return error;
  const name = nameOf(error);
  if (isMissing(error)) return notFound(key);
  if (name === 'NoSuchUpload') return noUpload();
  if (WRONG_BYTES.has(name)) {
    return new SheafError('checksum_mismatch', `What arrived for ${key} is not what was sent.`, { remedy: 'Send it again.', cause: error });
  }
  if (OBJECT_OR_FOLDER.has(name)) {
    return new SheafError('invalid_request', 'The key of a stored object is the folder of others, or below another.', { remedy: 'Use another key.' });
  }
  if (name === 'PreconditionFailed' || name === 'ConditionalRequestConflict') {
    return new SheafError('conflict', `The stored object ${key} is there already, or was changed.`, { cause: error });
  }
  const known = name in REMEDIES ? name : (BY_STATUS[statusOf(error) ?? 0] ?? name);
  const remedy = REMEDIES[known] ?? 'It is tried again; if it stays so, the log of the S3 server says more.';
  return new SheafError('blobs_unavailable', `The S3 server refused or did not answer (${known || 'no reason given'}).`, { remedy, cause: error });
}

export async function asking<T>(key: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw s3Error(error, key);
  }
}

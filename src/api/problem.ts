/** The one place that turns errors into answers: RFC 9457, never a stack, never content of a request. */
import { z } from 'zod';
import { ERRORS, SheafError } from '../contracts/errors.ts';
import type { ErrorCode } from '../contracts/errors.ts';
import type { Problem } from '../contracts/api.ts';
import { nearest } from '../domain/nearest.ts';
import { MissingParts } from '../uploads/completing.ts';

export interface FieldError {
  /** Dotted: `source.upload`, `tags.0`. */
  path: string;
  message: string;
}

/** A request with fields that are wrong. */
export class InvalidRequest extends SheafError {
  readonly errors: FieldError[];

  constructor(where: string, errors: FieldError[], remedy?: string) {
    const texts = errors.slice(0, 5).map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
    super('invalid_request', `${where}: ${texts.join('; ')}.`, {
      remedy: remedy ?? 'Correct it; /docs describes every request.',
      ...(errors[0] && errors[0].path !== '' && { place: { field: errors[0].path } }),
    });
    this.errors = errors;
  }
}

/** Zod's complaints about one part of a request, with unknown fields named beside the known one nearest to them. */
export function invalid(where: string, schema: z.ZodType, error: z.ZodError): InvalidRequest {
  return new InvalidRequest(where, error.issues.flatMap((issue) => fieldErrors(schema, issue)));
}

function fieldErrors(schema: z.ZodType, issue: z.core.$ZodIssue): FieldError[] {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsAt(schema, issue.path);
    return issue.keys.map((key) => {
      const near = nearest(key, known);
      return { path: [...issue.path, key].join('.').slice(0, 200), message: `there is no such field${near === null ? '' : `; did you mean "${near}"?`}` };
    });
  }
  if (issue.code === 'invalid_type' && issue.input === undefined && issue.message.includes('received undefined')) {
    return [{ path, message: 'is missing' }];
  }
  return [{ path, message: issue.message.replace(/^(Invalid|Too) \w+: /, '') }];
}

/** Names of the fields that an object inside a schema may have. */
function fieldsAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodExactOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodNullable) {
    return fieldsAt(schema.unwrap(), path);
  }
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => fieldsAt(option, path));
  if (schema instanceof z.ZodArray && path.length > 0) return fieldsAt(schema.element, path.slice(1));
  if (!(schema instanceof z.ZodObject)) return [];
  const [first, ...rest] = path;
  if (first === undefined) return Object.keys(schema.shape);
  const inner = schema.shape[String(first)];
  return inner === undefined ? [] : fieldsAt(inner, rest);
}

/** What the body parser throws: only its kind is told, since its messages quote the body. */
const BODY_ERRORS: Record<string, [ErrorCode, string]> = {
  'entity.parse.failed': ['invalid_request', 'The body is not valid JSON.'],
  'entity.too.large': ['body_too_large', 'The body is larger than 1 MB.'],
  'encoding.unsupported': ['unsupported_media_type', 'The content encoding is not supported.'],
  'charset.unsupported': ['unsupported_media_type', 'The character set is not supported; send UTF-8.'],
  'request.size.invalid': ['invalid_request', 'The body is not as long as its Content-Length says.'],
  'request.aborted': ['invalid_request', 'The request was broken off.'],
};

/** Any error as one of the table's; what it does not know is `internal`. */
export function asSheafError(error: unknown): SheafError {
  if (error instanceof SheafError) return error;
  if (error instanceof URIError) return new SheafError('invalid_request', 'The address is not validly encoded.', { cause: error });
  const type = typeof error === 'object' && error !== null && 'type' in error ? String(error.type) : '';
  const known = BODY_ERRORS[type];
  if (known) return new SheafError(known[0], known[1], { cause: error });
  return new SheafError('internal', 'The server could not answer this.', {
    remedy: "Look for this answer's instance in the server's log.", cause: error,
  });
}

export function problemOf(error: SheafError, requestId: string): Problem {
  return {
    type: `urn:sheaf:problem:${error.code}`,
    title: ERRORS[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    ...(error.remedy !== undefined && { remedy: error.remedy }),
    ...(error.place !== undefined && { place: error.place }),
    instance: `urn:uuid:${requestId}`,
    ...(error instanceof InvalidRequest && { errors: error.errors }),
    ...(error instanceof MissingParts && { missing_parts: error.parts }),
  };
}

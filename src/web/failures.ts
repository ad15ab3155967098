/** What the failures of connections mean. Messages name neither addresses nor content: rows with the same failure are counted together. */
import { errors } from 'undici';
import { SheafError } from '../contracts/errors.ts';

const TIMEOUTS = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);
/** Before anything was sent. */
const UNREACHED = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN', 'EADDRNOTAVAIL', 'ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT']);
const TLS = /^(ERR_(TLS|SSL|OSSL)_|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|ERROR_IN_C|EPROTO$)/;
/** The answer is no HTTP, or breaks its limits. */
const MALFORMED = /^UND_ERR_(HEADERS_OVERFLOW|RESPONSE|INVALID|RES_CONTENT_LENGTH_MISMATCH)/;

export function failed(error: unknown): unknown {
  if (error instanceof SheafError) return error;
  if (error instanceof AggregateError && error.errors.length > 0 && !('code' in error)) return failed(error.errors[0]);
  // It carries what the server sent, which is nobody's business.
  if (error instanceof errors.HTTPParserError) return damaged('no HTTP');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (TIMEOUTS.has(code)) return new SheafError('answer_timeout', 'The server does not answer in time', { remedy: 'Try again later', cause: error });
  if (UNREACHED.has(code)) return new SheafError('connection_failed', `The server cannot be reached (${code})`, { remedy: 'Check the address, or try again later', cause: error });
  if (TLS.test(code)) return new SheafError('tls_failed', `There is no secure connection to the server (${code})`, { remedy: 'Open the address in a browser, which says what is wrong with its certificate', cause: error });
  if (code === 'UND_ERR_INVALID_ARG') return new SheafError('url_invalid', 'The request cannot be sent: its address or a header is not valid', { remedy: 'Check the address and the headers', cause: error });
  if (MALFORMED.test(code)) return damaged(code);
  if (code === '') return error;
  return new SheafError('connection_lost', `The server broke off (${code})`, { remedy: 'Try again later', cause: error });
}

const damaged = (why: string): SheafError => new SheafError('answer_damaged', `The server's answer cannot be read (${why})`, { remedy: 'Tell whoever runs the server' });

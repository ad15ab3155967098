/**
 * Every error that Sheaf can answer with, in one table: its HTTP status, whether trying again unchanged can help
 * (which is also whether Temporal retries an activity that threw it), and what a person should do.
 */

interface ErrorEntry {
  status: number;
  retryable: boolean;
  title: string;
}

export const ERRORS = {
  // The request
  invalid_request: { status: 400, retryable: false, title: 'The request is not valid' },
  invalid_cursor: { status: 400, retryable: false, title: 'The cursor is not one that this list gave' },
  invalid_query: { status: 400, retryable: false, title: 'There is nothing that can be searched for' },
  body_too_large: { status: 413, retryable: false, title: 'The body is too large' },
  too_slow: { status: 408, retryable: true, title: 'The request took too long to arrive' },
  unsupported_media_type: { status: 415, retryable: false, title: 'The content type is not supported' },
  not_found: { status: 404, retryable: false, title: 'There is no such address' },
  method_not_allowed: { status: 405, retryable: false, title: 'The method is not allowed here' },
  host_not_allowed: { status: 403, retryable: false, title: 'The Host header is not one of this server' },
  origin_not_allowed: { status: 403, retryable: false, title: 'The page is not one of this server' },
  job_not_found: { status: 404, retryable: false, title: 'There is no such job' },
  upload_not_found: { status: 404, retryable: false, title: 'There is no such upload' },
  cleanup_not_found: { status: 404, retryable: false, title: 'There is no such cleanup' },
  idempotency_conflict: { status: 409, retryable: false, title: 'The Idempotency-Key was used for another request' },
  wrong_state: { status: 409, retryable: false, title: 'The state does not allow this' },
  not_ready: { status: 409, retryable: true, title: 'This is not there yet' },
  conflict: { status: 409, retryable: true, title: 'Somebody else changed this at the same time' },
  // The sheet
  path_not_allowed: { status: 403, retryable: false, title: 'The path is outside the folders that may be read' },
  source_not_found: { status: 404, retryable: false, title: 'The sheet file does not exist' },
  source_unreadable: { status: 422, retryable: false, title: 'The sheet file cannot be read' },
  source_changed: { status: 409, retryable: true, title: 'The sheet file changed while it was read' },
  unsupported_type: { status: 415, retryable: false, title: 'This is not a file that Sheaf reads here' },
  password_required: { status: 422, retryable: false, title: 'The file is encrypted' },
  legacy_format: { status: 415, retryable: false, title: 'The file is in the legacy .xls format' },
  corrupt_file: { status: 422, retryable: false, title: 'The file is damaged' },
  archive_too_large: { status: 413, retryable: false, title: 'The file unpacks to more than is allowed' },
  cell_too_large: { status: 422, retryable: false, title: 'A cell or record is longer than is allowed' },
  invalid_encoding: { status: 422, retryable: false, title: 'The text is not in the encoding that was named' },
  sheet_not_found: { status: 422, retryable: false, title: 'The workbook has no such sheet' },
  invalid_range: { status: 422, retryable: false, title: 'The range is not valid' },
  header_not_found: { status: 422, retryable: false, title: 'The header row does not exist' },
  too_many_columns: { status: 422, retryable: false, title: 'The sheet has more columns than is allowed' },
  key_column_missing: { status: 422, retryable: false, title: 'A key column is not in the sheet' },
  // A sheet at somebody's service
  source_unavailable: { status: 503, retryable: true, title: 'The service that holds the sheet cannot be reached' },
  source_forbidden: { status: 422, retryable: false, title: 'The account may not do this with the sheet' },
  rate_limited: { status: 429, retryable: true, title: 'There have been too many calls for now' },
  credentials_unknown: { status: 422, retryable: false, title: 'There are no credentials of this name' },
  credentials_invalid: { status: 422, retryable: false, title: 'The credentials cannot be used' },
  credentials_rejected: { status: 422, retryable: false, title: 'The credentials have expired or were revoked' },
  scope_missing: { status: 422, retryable: false, title: 'The credentials do not cover this' },
  service_disabled: { status: 422, retryable: false, title: 'The API is switched off in the project of the credentials' },
  write_back_conflict: { status: 409, retryable: false, title: 'The sheet has no place for the results any more' },
  // The document
  document_not_found: { status: 404, retryable: false, title: 'There is no such document' },
  quota_exceeded: { status: 413, retryable: false, title: 'The tenant has no room for this' },
  part_conflict: { status: 409, retryable: false, title: 'Another part with this number has arrived' },
  document_timeout: { status: 422, retryable: false, title: 'The document took longer than a document may' },
  password_wrong: { status: 422, retryable: false, title: 'The password does not open the file' },
  no_text: { status: 422, retryable: false, title: 'The document has no text' },
  too_many_pages: { status: 413, retryable: false, title: 'The document has more pages than is allowed' },
  extraction_timeout: { status: 422, retryable: false, title: 'Reading the document took longer than is allowed' },
  extraction_memory: { status: 422, retryable: false, title: 'Reading the document took more memory than is allowed' },
  extraction_crashed: { status: 422, retryable: false, title: 'The document ended the process that read it' },
  malware_found: { status: 422, retryable: false, title: 'The file holds malware' },
  scan_refused: { status: 413, retryable: false, title: 'The file is larger than the malware scanner takes' },
  scanner_unavailable: { status: 503, retryable: true, title: 'The malware scanner cannot be reached' },
  unknown_format: { status: 422, retryable: false, title: 'There is no such format' },
  invalid_row: { status: 422, retryable: false, title: 'A row of the sheet does not fit its format' },
  // The handler
  unknown_handler: { status: 422, retryable: false, title: 'There is no such handler' },
  invalid_options: { status: 422, retryable: false, title: "The handler's options are not valid" },
  column_missing: { status: 422, retryable: false, title: 'A column that the handler reads is not in the sheet' },
  handler_not_allowed: { status: 403, retryable: false, title: 'The handler module is outside the folders that may be run' },
  handler_not_found: { status: 422, retryable: false, title: 'The handler module does not exist' },
  handler_invalid: { status: 422, retryable: false, title: 'The handler module cannot be used' },
  // The web: addresses that users name
  url_invalid: { status: 422, retryable: false, title: 'The web address cannot be called' },
  url_not_allowed: { status: 422, retryable: false, title: 'The web address leads into a private network' },
  dns_failed: { status: 422, retryable: false, title: 'The host of the web address does not exist' },
  dns_unavailable: { status: 503, retryable: true, title: 'DNS does not say where the host of the web address is' },
  connection_failed: { status: 502, retryable: true, title: 'The server of the web address cannot be reached' },
  connection_lost: { status: 502, retryable: true, title: 'The server of the web address broke off' },
  tls_failed: { status: 422, retryable: false, title: 'There is no secure connection to the server of the web address' },
  answer_timeout: { status: 504, retryable: true, title: 'The server of the web address took too long' },
  redirect_loop: { status: 422, retryable: false, title: 'The web address redirects without end' },
  redirect_invalid: { status: 422, retryable: false, title: 'The web address redirects to none' },
  answer_too_large: { status: 422, retryable: false, title: 'The answer of the web address is too large' },
  answer_inflates: { status: 422, retryable: false, title: 'The answer of the web address unpacks to too much' },
  answer_damaged: { status: 422, retryable: false, title: 'The answer of the web address cannot be read' },
  content_type_refused: { status: 422, retryable: false, title: 'The web address has content of another type' },
  // Web pages
  robots_disallowed: { status: 422, retryable: false, title: 'The site asks robots to leave the page alone' },
  robots_unavailable: { status: 503, retryable: true, title: 'The site does not say what robots may read' },
  login_required: { status: 422, retryable: false, title: 'The page is behind a login' },
  page_forbidden: { status: 422, retryable: false, title: 'The server does not show the page' },
  page_not_found: { status: 422, retryable: false, title: 'There is no such page' },
  page_refused: { status: 422, retryable: false, title: 'The server does not answer with a page' },
  page_unavailable: { status: 503, retryable: true, title: 'The server of the page cannot answer for now' },
  // The user's own service
  callback_unknown: { status: 404, retryable: false, title: 'Nobody waits for this callback' },
  signature_invalid: { status: 401, retryable: false, title: 'The signature is missing, wrong or too old' },
  secret_unknown: { status: 422, retryable: false, title: 'There is no such secret' },
  secret_not_allowed: { status: 403, retryable: false, title: 'The secret may not be sent to this host' },
  service_denied: { status: 422, retryable: false, title: 'The service does not take the credentials' },
  service_redirected: { status: 422, retryable: false, title: 'The service sends requests elsewhere' },
  // Webhooks
  delivery_not_found: { status: 404, retryable: false, title: 'Nothing was told under this name' },
  // Models
  model_unknown: { status: 422, retryable: false, title: 'There is no such model' },
  model_not_configured: { status: 422, retryable: false, title: 'The workers lack what the model needs' },
  price_unknown: { status: 422, retryable: false, title: 'Nobody knows what the model costs' },
  // The job
  circuit_breaker: { status: 422, retryable: false, title: 'Too many rows failed' },
  workflow_terminated: { status: 409, retryable: false, title: 'An operator terminated the workflow' },
  worker_lost: { status: 500, retryable: false, title: 'Workers were lost while they handled the same page' },
  workflow_failed: { status: 500, retryable: false, title: 'The workflow ended with an error' },
  // Plans of jobs
  unknown_dependency: { status: 422, retryable: false, title: 'A job that is to be waited for does not exist' },
  dependency_cycle: { status: 422, retryable: false, title: 'Jobs depend on each other in a circle' },
  dependency_failed: { status: 409, retryable: false, title: 'A job that this one depends on did not complete' },
  invalid_schedule: { status: 422, retryable: false, title: 'The schedule is not valid' },
  schedule_exists: { status: 409, retryable: false, title: 'There is a schedule of this name' },
  schedule_not_found: { status: 404, retryable: false, title: 'There is no such schedule' },
  batch_not_found: { status: 404, retryable: false, title: 'There is no such batch' },
  batch_too_large: { status: 413, retryable: false, title: 'The batch has more jobs than is allowed' },
  bulk_not_found: { status: 404, retryable: false, title: 'There is no such action on jobs' },
  // Sources
  sync_source_not_found: { status: 404, retryable: false, title: 'There is no such source' },
  version_not_found: { status: 404, retryable: false, title: 'The source has no such version' },
  version_superseded: { status: 409, retryable: false, title: 'A newer version of the source has taken its place' },
  version_held: { status: 409, retryable: false, title: 'The sheet is as it was when it was rejected or rolled back' },
  removal_rejected: { status: 409, retryable: false, title: 'Somebody rejected the removal of rows' },
  // What Sheaf stands on
  temporal_unavailable: { status: 503, retryable: true, title: 'Temporal cannot be reached' },
  namespace_taken: { status: 409, retryable: false, title: 'The Temporal namespace belongs to another installation' },
  store_unavailable: { status: 503, retryable: true, title: 'The store cannot be reached' },
  blobs_unavailable: { status: 503, retryable: true, title: 'The blob store cannot be reached' },
  blob_not_found: { status: 404, retryable: false, title: 'A stored object is missing' },
  checksum_mismatch: { status: 422, retryable: true, title: 'The bytes are not those that were sent' },
  parts_mismatch: { status: 409, retryable: false, title: 'Parts of the upload are missing or different' },
  store_refused: { status: 500, retryable: false, title: 'The store does not take a record' },
  schema_outdated: { status: 500, retryable: false, title: 'The store has to be migrated to this version' },
  schema_too_new: { status: 500, retryable: false, title: 'The store was written by a newer version' },
  shutting_down: { status: 503, retryable: true, title: 'The server is shutting down' },
  internal: { status: 500, retryable: true, title: 'Something went wrong in Sheaf' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** Where in a request, sheet or file something is wrong. */
export interface ErrorPlace {
  field?: string;
  sheet?: string;
  row?: number;
  column?: string;
  part?: string;
}

/** What is stored and shown of an error: never a stack, never content of a cell. */
export interface ErrorBody {
  code: string;
  message: string;
  /** What to do about it. */
  remedy?: string;
  place?: ErrorPlace;
}

/** The one error that rooms throw at each other. `message` says what was wrong, `remedy` what to do. */
export class SheafError extends Error {
  override readonly name = 'SheafError';
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly place: ErrorPlace | undefined;

  constructor(code: ErrorCode, message: string, more: { remedy?: string; place?: ErrorPlace; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.remedy = more.remedy;
    this.place = more.place;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  body(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.remedy !== undefined && { remedy: this.remedy }),
      ...(this.place !== undefined && { place: this.place }),
    };
  }
}

/** What another process has told of an error. A code that the table does not have is `internal`. */
export function errorOf({ code, message, remedy, place }: ErrorBody, cause?: unknown): SheafError {
  return new SheafError(code in ERRORS ? (code as ErrorCode) : 'internal', message, { ...(remedy !== undefined && { remedy }), ...(place !== undefined && { place }), ...(cause !== undefined && { cause }) });
}

/** What Google answers when it does not do what it was asked for, in Sheaf's words: which account, what for, and what to do. */
import { SheafError } from '../../contracts/errors.ts';
import { retryAfterMs } from '../../domain/retry-after.ts';
import { TOKEN_URL } from './auth.ts';

/** However long Google says. */
const MOST_WAIT_MS = 3_600_000;

/** What is to become of a call that failed. */
export type Verdict =
  /** Too many calls: `afterMs` is what Google said, null where it said nothing. */
  | { is: 'throttled'; afterMs: number | null }
  /** Nobody is there, or the answer was cut off. */
  | { is: 'away'; afterMs: number | null }
  | { is: 'expired' }
  | { is: 'refused'; error: SheafError };

/** Who asked for what. */
export interface Asked {
  account: string;
  /** A token's file or ADC: whoever runs Sheaf cannot choose what it covers in one place. */
  kind: 'service_account' | 'authorized_user' | 'adc';
  service: 'sheets' | 'drive';
  access: 'read' | 'write';
}

interface Answer {
  status: number | undefined;
  retryAfterMs: number | null;
  message: string;
  /** Google's codes: `PERMISSION_DENIED`, `ACCESS_TOKEN_SCOPE_INSUFFICIENT`, `userRateLimitExceeded`. */
  reasons: string[];
  /** Of the token endpoint, `invalid_grant`. */
  oauth: string | null;
}

const THROTTLED = /^(RATE_LIMIT_EXCEEDED|RESOURCE_EXHAUSTED|rateLimitExceeded|userRateLimitExceeded|sharingRateLimitExceeded|quotaExceeded)$/;
const SCOPE = /^(ACCESS_TOKEN_SCOPE_INSUFFICIENT|insufficientPermissions|insufficientScopes)$/;
const DISABLED = /^(SERVICE_DISABLED|accessNotConfigured)$/;

export function judge(error: unknown, asked: Asked): Verdict {
  if (error instanceof SheafError) return { is: 'refused', error };
  const answer = readAnswer(error);
  if (answer.oauth !== null) return { is: 'refused', error: tokenRefused(answer, asked, error) };
  const { status, reasons, retryAfterMs: afterMs } = answer;
  if (status === 429 || (status === 403 && reasons.some((reason) => THROTTLED.test(reason)))) return { is: 'throttled', afterMs };
  if (status === undefined || status === 408 || status >= 500) return { is: 'away', afterMs };
  if (status === 401) return { is: 'expired' };
  return { is: 'refused', error: refusal(answer, status, asked, error) };
}

function refusal({ message, reasons }: Answer, status: number, { account, kind, service, access }: Asked, cause: unknown): SheafError {
  const verb = access === 'write' ? 'change' : 'read';
  if (status === 403 && reasons.some((reason) => SCOPE.test(reason))) {
    return new SheafError('scope_missing', `${account} has no scope to ${verb} ${service === 'drive' ? 'when the sheet was changed' : 'Google Sheets'}`, {
      remedy: kind === 'adc'
        ? `Sign in again: gcloud auth application-default login --scopes=openid,https://www.googleapis.com/auth/cloud-platform,https://www.googleapis.com/auth/spreadsheets${access === 'write' ? '' : '.readonly'},https://www.googleapis.com/auth/drive.metadata.readonly`
        : `Give its consent again with the scope https://www.googleapis.com/auth/spreadsheets${access === 'write' ? '' : '.readonly'}`, cause,
    });
  }
  if (status === 403 && reasons.some((reason) => DISABLED.test(reason))) {
    return new SheafError('service_disabled', `The Google ${service === 'drive' ? 'Drive' : 'Sheets'} API is switched off in the project of ${account}`, {
      remedy: 'Switch it on in the Google Cloud console, under APIs & Services, and wait a few minutes', cause,
    });
  }
  if (status === 403) {
    return new SheafError('source_forbidden', `The sheet is not shared with ${account}, or not so that it may ${verb} it`, {
      remedy: `Share the sheet with ${account} as ${access === 'write' ? 'an editor' : 'a viewer'}, or name other credentials`, cause,
    });
  }
  if (status === 404) {
    return new SheafError('source_not_found', `There is no Google Sheet with this id, or ${account} may not know of it`, {
      remedy: `Check the address, and share the sheet with ${account}`, cause,
    });
  }
  if (/Unable to parse range|exceeds grid limits/.test(message)) {
    return new SheafError('source_changed', 'A sheet was renamed, removed or made smaller while it was read', { remedy: 'It is read again; keep it still for a moment', cause });
  }
  if (/not supported for this document/.test(message)) {
    return new SheafError('unsupported_type', 'This is an Office file at Google Drive, not a Google Sheet', { remedy: 'Open it there and choose File, Save as Google Sheets, or download it and give the file', cause });
  }
  if (/protected cell/i.test(message)) {
    return new SheafError('source_forbidden', `The cells to be written are protected against ${account}`, { remedy: `Let ${account} edit the protected range, or write to another column`, cause });
  }
  if (/limit of \d+ cells/.test(message)) {
    return new SheafError('write_back_conflict', 'The spreadsheet is full: Google takes no more cells', { remedy: 'Remove cells that nobody needs, or write to another spreadsheet', cause });
  }
  return new SheafError('source_unreadable', `Google refused to ${verb} the sheet (${status}): ${message.slice(0, 300)}`, { cause });
}

function tokenRefused({ oauth, message }: Answer, { account, kind }: Asked, cause: unknown): SheafError {
  if (oauth === 'invalid_client' || oauth === 'unauthorized_client') {
    return new SheafError('credentials_invalid', `Google does not know the OAuth client of ${account}`, { remedy: 'Check client_id and client_secret in its token file', cause });
  }
  if (oauth === 'invalid_scope') return new SheafError('scope_missing', `Google gives ${account} no token for Google Sheets`, { remedy: 'Give its consent again with the scope of Google Sheets', cause });
  const again = {
    service_account: /signature/i.test(message) ? 'The key was deleted or belongs to another account: make a new one and put it into the key file' : 'The account or its key is gone or disabled: enable it, or make a new key',
    authorized_user: 'Sign in as this user again, and put the new token into the token file',
    adc: 'Sign in again: gcloud auth application-default login',
  };
  return new SheafError('credentials_rejected', `Google no longer takes the credentials of ${account}: they have expired or were revoked`, { remedy: again[kind], cause });
}

/** The same for a token that was rejected although it was new. */
export const rejected = ({ account, kind }: Asked, cause: unknown): SheafError =>
  tokenRefused({ oauth: 'invalid_grant', message: '', reasons: [], status: 401, retryAfterMs: null }, { account, kind, service: 'sheets', access: 'read' }, cause);

function readAnswer(error: unknown): Answer {
  const { response, config, message } = error as { response?: { status?: number; headers?: Headers; data?: unknown }; config?: { url?: unknown }; message?: string };
  const data = parsed(response?.data);
  const inner = field(data, 'error');
  const url = String(config?.url ?? '');
  const ofToken = typeof inner === 'string' && (url === TOKEN_URL || url.endsWith('/token'));
  const details = [field(inner, 'details'), field(inner, 'errors')].flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []));
  const texts = [field(inner, 'status'), ...details.map((detail) => field(detail, 'reason'))];
  const waitMs = retryAfterMs(response?.headers?.get('retry-after'));
  return {
    status: response?.status,
    retryAfterMs: waitMs && Math.min(waitMs, MOST_WAIT_MS),
    message: String(ofToken ? field(data, 'error_description') ?? '' : field(inner, 'message') ?? message ?? ''),
    reasons: texts.filter((text) => typeof text === 'string'),
    // A token endpoint that is down is away, like everything else.
    oauth: ofToken && (response?.status ?? 500) < 500 ? inner : null,
  };
}

const field = (value: unknown, name: string): unknown => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined);

function parsed(data: unknown): unknown {
  if (typeof data !== 'string') return data;
  try {
    return JSON.parse(data);
  } catch {
    return undefined; // a proxy's page
  }
}

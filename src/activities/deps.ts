import type { Readable } from 'node:stream';
import type { Blobs } from '../blobs/blobs.ts';
import type { Retention } from '../contracts/system.ts';
import type { DocumentReader } from '../documents/document.ts';
import type { ScanResult } from '../documents/scan.ts';
import type { Limits } from '../limits/limits.ts';
import type { LimitRules } from '../limits/rules.ts';
import type { MonthlyBudgets } from '../limits/monthly-budgets.ts';
import type { Log } from '../log.ts';
import type { GoogleSheets } from '../sources/google-sheets.ts';
import type { LanguageModels } from '../models/language-model.ts';
import type { Models } from '../models/models.ts';
import type { SheetLimits } from '../sources/source.ts';
import type { Secrets } from '../secrets.ts';
import type { Store } from '../store/store.ts';
import type { Pages } from '../pages/page.ts';
import type { PagesOf } from '../pages/pages.ts';
import type { TenantWebhooks } from '../webhooks.ts';
import type { Web } from '../web/web.ts';

/** What activities stand on; made by the container. */
export interface ActivityDeps {
  store: Store;
  blobs: Blobs;
  limits: Limits;
  limitRules: Pick<LimitRules, 'of'>;
  log: Log;
  sheetLimits: SheetLimits;
  /** Folders that sheets may be read from by path, and handler modules loaded from. */
  inputDirs: string[];
  google: GoogleSheets;
  handlerDirs: string[];
  web: Web;
  /** Who is told of all jobs of a tenant. */
  webhooks: TenantWebhooks;
  pages: { of(whose: PagesOf): Pages };
  secrets: Secrets;
  /** Where services reach the API, without a slash at the end. */
  publicUrl: string;
  keep: Retention;
  documents: DocumentDeps;
  /** What handlers may ask. */
  languageModels: LanguageModels;
  monthlyBudgets: MonthlyBudgets;
}

export interface DocumentDeps {
  reader: DocumentReader;
  /** Looks for malware. Null: no scanner is configured, and documents are marked `unscanned`. */
  scan: ((content: Readable, signal: AbortSignal) => Promise<ScanResult>) | null;
  /** Where the scanner is away: go on and mark the document, in place of waiting. */
  mayGoUnscanned: boolean;
  /** What analysis asks; loaded when it is needed. Null: nothing is configured. */
  models: (() => Promise<Models>) | null;
  /** Milliseconds that the stages of one attempt may work. */
  limitMs: number;
}

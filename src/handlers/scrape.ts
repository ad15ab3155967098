/** `scrape`: the text of the web page that a row points to, and what is asked about it. */
import { z } from 'zod';
import { SheafError } from '../contracts/errors.ts';
import type { Cell, Foreseen, HandledOutcome, Json } from '../contracts/row.ts';
import type { PageForeseen, WebPage } from '../pages/page.ts';
import { requireColumns } from './columns.ts';
import { FREE } from './free.ts';
import type { Handler } from './handler.ts';
import { pageQuestions, questionsOf, type PageQuestion } from './page-questions.ts';

const options = z.strictObject({
  url: z.string().min(1).describe('Column with the address of the page; https:// may be left out'),
  ...pageQuestions,
  maxChars: z.int().min(1).max(500_000).default(100_000).describe('Characters of the text that are kept'),
  modelChars: z.int().min(1).max(500_000).default(20_000).describe('Characters of the text that a model is shown'),
  maxAgeSeconds: z.number().min(0).max(365 * 86_400).default(86_400).describe('A page that was read before is good for so long; then its server is asked whether it has changed'),
  hostConcurrency: z.int().min(1).max(50).default(4).describe('Pages of one host at once, in each worker'),
  hostPerSecond: z.number().min(0.01).max(100).default(10).describe('Pages of one host a second, in each worker; fewer where its robots.txt or SHEAF_LIMITS says so'),
});

/** Not the page's doing: the row is left undone. */
const OURS = new Set(['blobs_unavailable', 'store_unavailable', 'shutting_down', 'internal']);

export const scrape: Handler<z.output<typeof options>> = {
  name: 'scrape',
  version: 1,
  summary: 'Reads the web page that a row points to: its main text, title and language; and what is asked about it.',
  options,
  work: 'costly',
  prepare: async ({ url: column, maxChars, maxAgeSeconds, hostConcurrency, hostPerSecond, ...asked }, context) => {
    requireColumns([column], context.columns, 'options.url');
    const questions = await questionsOf(asked, context);
    const host = { concurrency: hostConcurrency, perSecond: hostPerSecond };

    const scraped = async (address: string, signal: AbortSignal): Promise<HandledOutcome> => {
      let page: WebPage;
      try {
        page = await context.pages.read(address, { host, maxAgeMs: maxAgeSeconds * 1_000, signal });
      } catch (error) {
        if (!(error instanceof SheafError) || OURS.has(error.code)) throw error;
        // A page that is not there is its row's fault, not the web's.
        return { error: { code: error.code, message: error.message, retryable: error.retryable, column, ...(!error.retryable && { input: true }) } };
      }
      return withAnswers(outputOf(page, maxChars), page, questions, signal);
    };

    /** Null: there is no such address, and its row fails. */
    const foreseenPage = async (address: string): Promise<PageForeseen | null> => {
      try {
        return await context.pages.foresee(address, { maxAgeMs: maxAgeSeconds * 1_000 });
      } catch (error) {
        if (!(error instanceof SheafError) || OURS.has(error.code)) throw error;
        return null;
      }
    };

    return {
      reads: [column],
      identity: { url: column, maxChars, asked: questions.map(({ identity }) => identity) },
      batchSize: 1,
      concurrency: 20,
      priced: questions.every(({ priced }) => priced),
      limits: [...new Set(questions.flatMap(({ limits }) => limits))],
      handle: (rows, signal) => Promise.all(rows.map(async ({ input }): Promise<HandledOutcome> => {
        const address = addressIn(input[column] ?? null);
        return address === null ? { error: { code: 'url_missing', message: `There is no address in column "${column}"`, retryable: false, column, input: true } } : scraped(address, signal);
      })),
      foresee: (rows) => Promise.all(rows.map(async ({ input }): Promise<Foreseen> => {
        const address = addressIn(input[column] ?? null);
        const page = address === null ? null : await foreseenPage(address);
        if (page === null) return FREE;
        const told = await Promise.all(questions.map((question) => question.foresee(page.page)));
        const sum = (of: (one: Foreseen) => number | null): number | null => told.map(of).reduce((all, one) => (all === null || one === null ? null : all + one), 0);
        return {
          known: told.some(({ known }) => known) && told.every(({ known, cost }) => known || cost === 0), tokens: sum(({ tokens }) => tokens), cost: sum(({ cost }) => cost),
          requests: sum(({ requests }) => requests ?? null)! + (page.page === null ? 1 : 0),
          ...(page.page === null && { visit: { address: page.shared ? page.address : null, host: page.host, perSecond: hostPerSecond, limits: page.limits } }),
        };
      })),
      close: async () => {},
    };
  },
};

/** People write `example.com/page`. */
function addressIn(cell: Cell): string | null {
  const text = String(cell ?? '').trim();
  if (text === '') return null;
  return /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `https://${text}`;
}

function outputOf({ text, warnings, ...page }: WebPage, maxChars: number): { [field: string]: Json } {
  const truncated = text.length > maxChars;
  return { ...page, text: truncated ? text.slice(0, maxChars).toWellFormed() : text, truncated, ...(warnings.length > 0 && { warnings }) };
}

/** One after the other: what cannot be answered costs no further question. What was paid is told in any case. */
async function withAnswers(output: { [field: string]: Json }, page: WebPage, questions: readonly PageQuestion[], signal: AbortSignal): Promise<HandledOutcome> {
  let paid: Pick<HandledOutcome, 'tokens' | 'cost' | 'cached'> = {};
  for (const question of questions) {
    const { tokens, cost, cached, ...outcome } = await question.about(page, signal);
    paid = {
      ...paid, ...(tokens !== undefined && { tokens: (paid.tokens ?? 0) + tokens }), ...(cost !== undefined && { cost: cost === null || paid.cost === null ? null : (paid.cost ?? 0) + cost }),
      ...(cached && { cached }),
    };
    // One answer that was kept makes the other no cheaper.
    if (paid.tokens !== undefined || paid.cost !== undefined) delete paid.cached;
    if (!('output' in outcome)) return { ...outcome, ...paid } as HandledOutcome;
    Object.assign(output, outcome.output);
  }
  return { output, ...paid };
}

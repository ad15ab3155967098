/** Google Sheets as a source: found by its id, told apart by what Drive says of it, read in parts through the official clients. */
import type { SheetOptions, SpreadsheetLocation } from '../contracts/job.ts';
import type { Limits } from '../limits/limits.ts';
import { openAccount, type Access } from './google/auth.ts';
import { GoogleClient, type Caller, type GoogleApis } from './google/client.ts';
import { chooseCredentials, type NamedCredentials } from './google/credentials.ts';
import { partsOf, type FetchedParts } from './google/parts.ts';
import { chooseTab, readWorkbook, type Tab, type Workbook } from './google/workbook.ts';
import type { OpenSheet, RemoteSheet, SheetLimits } from './source.ts';
import { openTable, wantedSheet, windowOf } from './table.ts';
import { Warnings } from './warnings.ts';

export interface GoogleSheets {
  /**
   * Rejects with what is wrong with the credentials; with `source_unavailable`, and `LimitReached` where there are no calls for a
   * while. A sheet that is not there, or not shared, is found out when it is opened. `fetched` keeps what `rows()` fetches, for one fingerprint.
   */
  find(location: SpreadsheetLocation, caller: Caller, fetched?: (fingerprint: string) => FetchedParts): Promise<RemoteSheet>;
  /** What writes to the spreadsheet. Rejects with what is wrong with the credentials. */
  client(location: SpreadsheetLocation, caller: Caller, access: Access): Promise<GoogleClient>;
}

/** `url`: where Google's APIs are looked for instead; null: at Google. */
export function createGoogleSheets({ credentials, url, limits }: { credentials: NamedCredentials; url: string | null; limits: Limits }): GoogleSheets {
  const opened = new Map<string, Promise<GoogleApis>>();

  const apisOf = (location: SpreadsheetLocation, access: Access): Promise<GoogleApis> => {
    const chosen = chooseCredentials(credentials, location);
    const key = `${access}/${chosen.name}`;
    let apis = opened.get(key);
    if (!apis) {
      // Files of credentials may be put right at any time: what was refused is not kept.
      const forget = (): void => void (opened.get(key) === apis && opened.delete(key));
      opened.set(key, (apis = openApis(chosen, access, url, forget)));
      apis.catch(forget);
    }
    return apis;
  };

  const client = async (location: SpreadsheetLocation, caller: Caller, access: Access): Promise<GoogleClient> => {
    return new GoogleClient(location.spreadsheet, await apisOf(location, access), limits, caller);
  };

  return {
    client,

    async find(location, caller, fetched) {
      const reading = await client(location, caller, 'read');
      const revision = await reading.revision();
      const fingerprint = revision && `google:${location.spreadsheet}-${location.gid ?? ''}-${revision.revision}`;
      // Nobody could say for which state of the sheet parts were kept: whoever would keep them waits in place for a call instead.
      const asking = revision || !fetched ? reading : await client(location, { ...caller, patient: true }, 'read');
      return {
        name: revision?.title ?? `Google Sheet ${location.spreadsheet}`,
        fingerprint,
        sheets: async () => readWorkbook(await asking.describe()).tabs.filter(({ hidden, grid }) => grid && !hidden).map(({ title }) => title),
        open: (options, sheetLimits) => openSpreadsheet(asking, location, options, sheetLimits, (fingerprint !== null && fetched?.(fingerprint)) || null, revision === null),
      };
    },
  };
}

async function openApis(chosen: ReturnType<typeof chooseCredentials>, access: Access, url: string | null, forget: () => void): Promise<GoogleApis> {
  const [{ sheets_v4 }, { drive_v3 }, account] = await Promise.all([
    import('@googleapis/sheets'), import('@googleapis/drive'), openAccount(chosen.name, chosen.credentials, access, url),
  ]);
  const options = { auth: account.auth, ...(url !== null && { rootUrl: url }) };
  return { sheets: new sheets_v4.Sheets(options), drive: new drive_v3.Drive(options), account, asked: { account: account.name, kind: chosen.credentials.type }, forget };
}

async function openSpreadsheet(
  client: GoogleClient, { gid }: SpreadsheetLocation, options: SheetOptions, limits: SheetLimits, fetched: FetchedParts | null, twice: boolean,
): Promise<OpenSheet> {
  const workbook = readWorkbook(await client.describe());
  const tab = chooseTab(workbook, gid, wantedSheet(options));
  const warnings = new Warnings();
  warnOfMerges(tab, warnings);
  const { range, headerRow, firstRow, lastRow } = windowOf(options);
  const columns = [range.firstColumn, Math.min(range.lastColumn ?? Infinity, tab.columnCount - 1)] as const;
  const spans = columns[0] > columns[1] ? [] : rowSpans(tab, headerRow, firstRow, lastRow);
  const parts = partsOf({ client, title: tab.title, spans, columns: [columns], warnings, fetched, twice });
  return openTable(
    {
      sheet: tab.title, sheets: titles(workbook), format: 'Google Sheet', fingerprint: '',
      rows: (signal) => parts.rows(signal),
      close: async () => {},
    },
    options, limits, warnings,
  );
}

const titles = ({ tabs }: Workbook): string[] => tabs.map(({ title }) => title);

/** Rows between the header and the first data row that are fewer than this are read along with them. */
const GAP = 1_000;

/** The header row and the data rows, as far as the grid has them. */
function rowSpans({ rowCount }: Tab, headerRow: number, firstRow: number, lastRow: number): [number, number][] {
  const data: [number, number] = [firstRow, Math.min(lastRow, rowCount)];
  if (headerRow < 1 || headerRow > rowCount) return data[0] <= data[1] ? [data] : [];
  if (data[0] > data[1]) return [[headerRow, headerRow]];
  return data[0] - headerRow <= GAP ? [[headerRow, data[1]]] : [[headerRow, headerRow], data];
}

function warnOfMerges({ merges }: Tab, warnings: Warnings): void {
  const [first] = merges;
  if (first === undefined) return;
  warnings.add({
    code: 'merged_cells',
    message: `${merges.length === 1 ? 'An area is' : `${merges.length} areas are`} merged; the value is in the top-left cell, the other cells are empty`,
    row: first,
  });
}

/** Requests and answers of the API about sheets as files, before any job: which one, how it is read, what is in it, what can be done with it. See `api.ts`. */
import { z } from 'zod';
import { count, ID_PATTERN, jsonObject, NAME_PATTERN, time } from './api.ts';

const spreadsheetBody = z.strictObject({
  spreadsheet: z.string().min(1).max(2048).meta({ description: 'Address of a Google Sheet, as the browser shows it, or its id. A `gid` in the address says which sheet, unless `gid` or `sheet` do' }),
  gid: z.int().min(0).exactOptional().meta({ description: "Google's number of a sheet in it" }),
  credentials: z.string().regex(NAME_PATTERN).exactOptional()
    .meta({ description: 'Name of credentials in SHEAF_CREDENTIALS. Default: those called `default`, else Application Default Credentials' }),
  useAdc: z.boolean().exactOptional().meta({ description: 'Application Default Credentials' }),
});

export const sourceBody = z
  .union([z.strictObject({ upload: z.string().regex(ID_PATTERN) }), z.strictObject({ path: z.string().min(1).max(4096) }), spreadsheetBody], {
    error: 'expected {"upload": id}, {"path": file} or {"spreadsheet": address or id}',
  })
  .meta({ description: 'An uploaded file by its id, a file inside the folders that the configuration allows, or a Google Sheet' });

/** Which part of the file is meant, and how it is read. */
export const sheetFields = {
  sheet: z.union([z.string().min(1).max(255), z.int().min(1)], { error: "expected a sheet's name or its number from 1" })
    .exactOptional().meta({ description: "XLSX and Google Sheets: a sheet's name, or its number from 1. Default: the first visible sheet" }),
  range: z.string().min(1).max(50).exactOptional().meta({ description: 'A1 notation: `B2:F100`, `A:D`, `2:50`' }),
  headerRow: z.int().min(0).exactOptional().meta({ description: 'Row of the column names; 0: there is none, columns are called A, B, … Default: the first row' }),
  startRow: z.int().min(1).exactOptional().meta({ description: 'First data row. Default: the one after the header' }),
  numRows: z.int().min(1).exactOptional().meta({ description: 'At most so many data rows' }),
  delimiter: z.enum([',', ';', '\t', '|']).exactOptional().meta({ description: 'CSV; found out unless given' }),
  encoding: z.enum(['utf-8', 'utf-16le', 'utf-16be', 'windows-1252']).exactOptional().meta({ description: 'CSV; found out unless given' }),
};

export const previewBody = z.strictObject({ source: sourceBody, ...sheetFields });

export const warningAnswer = z.strictObject({ code: z.string(), message: z.string(), row: z.int().optional(), column: z.string().optional() });

export const columnAnswer = z.strictObject({
  name: z.string().meta({ description: 'Unique in the sheet; what results, handlers and key columns call it' }),
  header: z.string().nullable().meta({ description: 'As it stands in the sheet' }),
  letter: z.string(),
});

export const previewAnswer = z
  .strictObject({
    format: z.string().meta({ description: 'What the file turned out to be, for people' }),
    sheet: z.string().nullable(),
    sheets: z.array(z.string()).meta({ description: 'Of the workbook; none for CSV' }),
    columns: z.array(columnAnswer.extend({
      renamed: z.enum(['empty', 'duplicate', 'too_long', 'reserved', 'whitespace']).nullable().meta({ description: 'Why the name is not the header' }),
      type: z.enum(['integer', 'number', 'boolean', 'date', 'datetime', 'text', 'empty', 'mixed']),
    })),
    rows: z.array(z.strictObject({ row: z.int(), cells: z.array(z.union([z.string(), z.number(), z.boolean(), z.null()])) })),
    rowCount: count.nullable().meta({ description: 'Data rows; null where counting would have taken too long' }),
    rowCountAtLeast: count.meta({ description: 'Rows counted until then' }),
    warnings: z.array(warningAnswer),
  })
  .meta({ id: 'Preview' });
export type PreviewAnswer = z.infer<typeof previewAnswer>;

export const uploadAnswer = z
  .strictObject({
    id: z.string().meta({ description: "A job's `source.upload`" }),
    name: z.string(),
    size: count.meta({ description: 'Bytes' }),
    sha256: z.string().meta({ description: 'Of the content, in hex' }),
    owner: z.string(),
    createdAt: time,
  })
  .meta({ id: 'Upload' });
export type UploadAnswer = z.infer<typeof uploadAnswer>;

export const handlerAnswer = z
  .strictObject({
    name: z.string(),
    summary: z.string(),
    version: z.int(),
    work: z.enum(['cheap', 'costly', 'depends']).meta({ description: '`depends`: on the options' }),
    options: jsonObject.meta({ description: 'JSON schema' }),
  })
  .meta({ id: 'Handler' });
export type HandlerAnswer = z.infer<typeof handlerAnswer>;

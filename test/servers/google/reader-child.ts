/** A process that reads a Google Sheet with the token file of a user, whenever it is told to. */
import { localLimits } from '../../../src/limits/local.ts';
import { createGoogleSheets } from '../../../src/sources/google-sheets.ts';
import { SPREADSHEET } from './ready.ts';

const [url = '', file = ''] = process.argv.slice(2);
const sheets = createGoogleSheets({ credentials: new Map([['ana', { type: 'authorized_user', file }]]), url, limits: localLimits() });

async function read(): Promise<string> {
  const found = await sheets.find({ spreadsheet: SPREADSHEET, credentials: 'ana' }, { user: 'default/ana' });
  const cells = [];
  for await (const batch of (await found.open({}, { maxRecordChars: 1_000, maxColumns: 100, maxInflatedBytes: 1_000 })).rows()) cells.push(...batch.map((row) => row.cells));
  return JSON.stringify(cells);
}

process.on('message', () => {
  read().then((cells) => process.send!(cells), (error: unknown) => process.send!(String(error)));
});
process.send!('ready');

/** From where a request says that its rows are to the sheet itself. */
import type { Blobs } from '../blobs/blobs.ts';
import type { SourceLocation } from '../contracts/job.ts';
import type { Caller } from './google/client.ts';
import type { FetchedParts } from './google/parts.ts';
import { localFile } from './files.ts';
import type { GoogleSheets } from './google-sheets.ts';
import type { FoundSheet } from './source.ts';
import { uploadedFile } from './uploaded-file.ts';

/** Where sheets are. */
export interface Places {
  blobs: Blobs;
  /** Folders that sheets may be read from by path. */
  inputDirs: string[];
  google: GoogleSheets;
}

/** Who asks, for sheets that are not ours; `fetched` keeps what was read of one, by its fingerprint. */
export interface Asking extends Caller {
  tenant: string;
  fetched?: (fingerprint: string) => FetchedParts;
}

/** Rejects as `localFile`, `uploadedFile` and `GoogleSheets.find` do. */
export async function locateSheet({ blobs, inputDirs, google }: Places, location: SourceLocation, { tenant, fetched, ...caller }: Asking): Promise<FoundSheet> {
  if ('upload' in location) return uploadedFile(blobs, tenant, location.upload);
  if ('path' in location) return localFile(location.path, inputDirs);
  return google.find(location, caller, fetched);
}

/** From where a request says that its rows are to the sheet itself. */
import type { Blobs } from '../blobs/blobs.ts';
import type { SourceLocation } from '../contracts/job.ts';
import { SheafError } from '../contracts/errors.ts';
import { localFile, uploadedFile } from './files.ts';
import type { SheetFile } from './source.ts';

/** Where sheets are. */
export interface Places {
  blobs: Blobs;
  /** Folders that sheets may be read from by path. */
  inputDirs: string[];
}

/** Rejects as `localFile` and `uploadedFile` do. */
export async function locateSheet({ blobs, inputDirs }: Places, tenant: string, location: SourceLocation): Promise<SheetFile> {
  if ('upload' in location) return uploadedFile(blobs, tenant, location.upload);
  if ('path' in location) return localFile(location.path, inputDirs);
  throw new SheafError('source_unavailable', 'Google Sheets cannot be read yet');
}

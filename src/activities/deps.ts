import type { Blobs } from '../blobs/blobs.ts';
import type { Retention } from '../contracts/system.ts';
import type { Limits } from '../limits/limits.ts';
import type { Log } from '../log.ts';
import type { SheetLimits } from '../sources/source.ts';
import type { Store } from '../store/store.ts';

/** What activities stand on; made by the container. */
export interface ActivityDeps {
  store: Store;
  blobs: Blobs;
  limits: Limits;
  log: Log;
  sheetLimits: SheetLimits;
  /** Folders that sheets may be read from by path, and handler modules loaded from. */
  inputDirs: string[];
  handlerDirs: string[];
  keep: Retention;
}

// `node scripts/backup.mjs save|restore|verify FOLDER [REPOSITORY]`: see src/backup.ts.
import path from 'node:path';
import { nodeForSheaf } from './pinned-node.mjs';
import { runOn } from './run-on.mjs';
import { root } from './setup.mjs';

process.exitCode = await runOn(nodeForSheaf(), [path.join(root, 'src/backup.ts'), ...process.argv.slice(2)]);

// Which Node runs Sheaf: the one of the `node` dev dependency, else the running one when it is new enough.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const OLDEST = [22, 19];
const executable = process.platform === 'win32' ? 'node.exe' : 'node';
const pinned = fileURLToPath(new URL(`../node_modules/node/bin/${executable}`, import.meta.url));

const isEnough = (version) => {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
};

/** True when the Node that runs this can run Sheaf itself. */
export const runningNodeIsEnough = () => isEnough(process.version);

/** Path of a Node that can run Sheaf. Throws when there is none. */
export function nodeForSheaf() {
  if (existsSync(pinned)) {
    try {
      // Checked, because a binary of another platform or C library lies there in a copied checkout.
      if (isEnough(execFileSync(pinned, ['--version'], { encoding: 'utf8', timeout: 30_000 }).trim())) return pinned;
    } catch {
      // The running one may do.
    }
  }
  if (runningNodeIsEnough()) return process.execPath;
  throw new Error(
    `Sheaf needs Node ${OLDEST.join('.')} or later; this is ${process.version}, and the one that npm installs for it ` +
      `(node_modules/node) does not run here. Install Node 24, or run "npm ci" again to repair node_modules.`,
  );
}

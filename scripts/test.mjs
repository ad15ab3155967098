// `npm test [-- FILE … or other arguments of vitest]`: the setup, type check, lint and tests. Ends with a line
// `N passed, N failed`, in which the type check and the lint count as one each.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { runOn } from './run-on.mjs';
import { root, setup } from './setup.mjs';

const requireAll = process.env.SHEAF_REQUIRE_ALL === '1';
let passed = 0;
let failed = 0;

try {
  const node = await setup({ tests: true });
  check(node, 'Type check', 'typescript/bin/tsc', ['-p', '.']);
  check(node, 'Lint', 'oxlint/bin/oxlint', []);
  await vitest(node, process.argv.slice(2));
} catch (error) {
  failed += 1;
  process.stderr.write(`${error.message}\n`);
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

function check(node, name, program, args) {
  const { status } = spawnSync(node, [path.join(root, 'node_modules', program), ...args], { cwd: root, stdio: 'inherit' });
  process.stdout.write(`${name}: ${status === 0 ? 'passed' : 'failed'}\n`);
  if (status === 0) passed += 1;
  else failed += 1;
}

async function vitest(node, args) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sheaf-report-'));
  const report = path.join(folder, 'report.json');
  try {
    process.chdir(root);
    const code = await runOn(node, [
      path.join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args,
    ]);
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests = 0 } = JSON.parse(readFileSync(report, 'utf8'));
    passed += numPassedTests;
    failed += numFailedTests;
    const skipped = numPendingTests + numTodoTests;
    if (skipped > 0) process.stdout.write(`${skipped} tests were skipped${requireAll ? ', which SHEAF_REQUIRE_ALL=1 counts as failed' : ''}\n`);
    if (requireAll) failed += skipped;
    // A file that did not load, an error outside of every test, no test at all.
    if (code !== 0 && numFailedTests === 0) {
      process.stdout.write(`vitest ended with exit code ${code}\n`);
      failed += 1;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

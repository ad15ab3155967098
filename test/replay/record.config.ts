/** `npx vitest run --config test/replay/record.config.ts` makes the committed histories anew; see README.md. */
import { defineConfig } from 'vitest/config';
import base from '../../vitest.config.ts';

export default defineConfig({ ...base, test: { ...base.test, include: ['test/replay/record.ts', 'test/replay/record-answers.ts', 'test/replay/record-documents.ts', 'test/replay/record-google.ts', 'test/replay/record-items.ts', 'test/replay/record-models.ts', 'test/replay/record-sources.ts', 'test/replay/record-webhooks.ts'] } });

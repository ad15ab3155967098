import { readFile } from 'node:fs/promises';
import { validate } from '@readme/openapi-parser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { endpoints } from '../../src/api/endpoints.ts';
import { openApiDocument, openApiYaml } from '../../src/api/openapi.ts';
import { startApi } from './api.ts';
import type { Api } from './api.ts';

const committed = await readFile(new URL('../../openapi.yaml', import.meta.url), 'utf8');

describe('openapi.yaml', () => {
  it('says what the server does; `npm run openapi` writes it anew', () => {
    expect(committed).toBe(openApiYaml(openApiDocument(endpoints)));
  });

  it('is valid OpenAPI 3.1', async () => {
    const document = parse(committed) as { openapi: string };
    expect(document.openapi).toBe('3.1.1');
    expect(await validate(document as Parameters<typeof validate>[0])).toMatchObject({ valid: true });
  });

  it('describes every endpoint once, with an operation of its own name, and every problem by the same schema', () => {
    const { paths } = parse(committed) as { paths: Record<string, Record<string, { operationId: string; responses: Record<string, { content?: object }> }>> };
    const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
    expect(operations).toHaveLength(endpoints.length);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(endpoints.length);
    for (const { operationId, responses } of operations) {
      for (const [status, { content }] of Object.entries(responses)) {
        if (status !== 'default' && Number(status) < 400) continue;
        if (operationId === 'getReadiness' && status === '503') continue;
        expect(content, `${operationId} ${status}`).toEqual({ 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } });
      }
    }
  });

  it('lets a new endpoint be described by an example job body that the server takes', () => {
    const { components } = parse(committed) as { components: { schemas: { JobRequest: { required: string[]; additionalProperties: boolean } } } };
    expect(components.schemas.JobRequest).toMatchObject({ required: ['source'], additionalProperties: false });
  });
});

describe('the page to try it', () => {
  let api: Api;
  beforeAll(async () => { api = await startApi(); });
  afterAll(() => api.close());

  it('and all that it loads come from this server, as its security policy demands', async () => {
    const { body: page, headers } = await api.call<string>('GET', '/docs');
    const loaded = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address ?? '');
    expect(loaded.length).toBeGreaterThanOrEqual(3);
    for (const address of loaded) {
      expect(address).toMatch(/^\/docs\//);
      expect((await fetch(api.url + address)).status, address).toBe(200);
    }
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'self'");
    expect(policy).not.toMatch(/https?:|script-src|unsafe-eval/);
    expect(page).not.toMatch(/<script>|onload=/);
  });

  it('shows the document that is served in both forms', async () => {
    const json = await (await fetch(`${api.url}/openapi.json`)).json();
    expect(parse(await (await fetch(`${api.url}/openapi.yaml`)).text())).toEqual(json);
    expect(await (await fetch(`${api.url}/docs/start.js`)).text()).toContain("'/openapi.json'");
  });
});

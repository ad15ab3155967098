/** Files as answers, streamed. */
import { once } from 'node:events';
import type { Response } from 'express';

/** RFC 6266: an ASCII name for old clients, the whole one for others. */
export function fileHeaders(contentType: string, name: string): Record<string, string> {
  const encoded = encodeURIComponent(name.toWellFormed()).replaceAll(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  return {
    'Content-Type': contentType,
    'Content-Disposition': `attachment; filename="${name.replaceAll(/[^\x20-\x7e]|["\\]/g, '_')}"; filename*=UTF-8''${encoded}`,
    'Cache-Control': 'no-store',
  };
}

/** As fast as the client reads. What fails before the first chunk can still be answered as a problem. */
export async function send(res: Response, headers: Record<string, string>, chunks: AsyncGenerator<string | Buffer>, signal: AbortSignal): Promise<void> {
  try {
    let next = await chunks.next();
    res.status(200).set(headers);
    if (res.req.method === 'HEAD') return void res.end();
    for (; !next.done; next = await chunks.next()) {
      if (!res.write(next.value)) await once(res, 'drain', { signal });
    }
    res.end();
  } finally {
    await chunks.return(undefined);
  }
}

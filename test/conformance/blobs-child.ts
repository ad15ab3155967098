/**
 * A process that puts objects: `node blobs-child.ts ADAPTER PLACE ROLE`. `many`: until it is killed, a line with the
 * number after each. `large`: one of 400 MiB, then a line of JSON with how much its memory grew at most.
 */
import { Readable } from 'node:stream';
import { blobsAdapters } from './blobs-adapters.ts';

const [adapter = '', place = '', role = ''] = process.argv.slice(2);
const blobs = await blobsAdapters[adapter]!.open(place);

function* chunks(count: number, bytes: number, value: number): Iterable<Buffer> {
  for (let n = 0; n < count; n++) yield Buffer.alloc(bytes, value);
}

if (role === 'large') {
  const before = process.resourceUsage().maxRSS;
  await blobs.put('acme/large', Readable.from(chunks(400, 2 ** 20, 7), { highWaterMark: 1 }));
  for await (const _ of await blobs.stream('acme/large'));
  process.stdout.write(`${JSON.stringify({ grownMiB: (process.resourceUsage().maxRSS - before) / 1024 })}\n`);
} else {
  for (let n = 0; ; n++) {
    await blobs.put(`acme/written/${n}`, Readable.from(chunks(40, 5_000, n % 256)));
    process.stdout.write(`${n}\n`);
  }
}

/** Sheets to measure with: always the same content for the same size, made once. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';

const WORDS = 'amber birch cedar dune ember fjord grove heath islet jetty knoll larch meadow nook orchard pine quarry reef slope tarn'.split(' ');

/** Rows of some 75 characters in six columns, or of `noteChars` more. Answers the file's path. */
export async function makeSheet(folder: string, rows: number, noteChars = 0): Promise<string> {
  const file = path.join(folder, `rows-${rows}-${noteChars}.csv`);
  if (await stat(file).then(() => true, () => false)) return file;
  const out = createWriteStream(file);
  let seed = 42;
  const next = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const word = (): string => WORDS[next(WORDS.length)]!;
  let text = 'id,name,email,amount,city,note\n';
  for (let row = 1; row <= rows; row++) {
    let note = `${word()} ${word()} ${word()}`;
    while (note.length < noteChars) note += ` ${word()} ${word()} ${word()} ${word()}`;
    text += `${row},Name ${row},user${row}@example.com,${(next(100_000) / 100).toFixed(2)},City ${row % 500},${note}\n`;
    if (text.length > 1 << 20) {
      if (!out.write(text)) await once(out, 'drain');
      text = '';
    }
  }
  out.end(text);
  await once(out, 'close');
  return file;
}

/** Where a command reads its manner and writes its output: the two streams, and whether a person or a program reads them. */
import type { Writable } from 'node:stream';
import { styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];
/** A process's stream, or a test's. */
export type Output = Writable & { isTTY?: boolean; columns?: number; rows?: number };

export interface Terminal {
  out: Output;
  err: Output;
  /** Machine output: JSON on `out`, nothing else there. */
  json: boolean;
  /** Colour where `out` shows it (a terminal, no NO_COLOR). */
  paint(style: Style, text: string): string;
  paintErr(style: Style, text: string): string;
  /** Columns of `out`; null where it is no terminal and nothing needs to be cut. */
  width(): number | null;
  print(line: string): void;
  printJson(value: unknown): void;
  /** For people, beside the result: on `err`, and not with `--json`. */
  note(line: string): void;
}

export function openTerminal(json: boolean, out: Output = process.stdout, err: Output = process.stderr): Terminal {
  return {
    out,
    err,
    json,
    paint: (style, text) => styleText(style, text, { stream: out }),
    paintErr: (style, text) => styleText(style, text, { stream: err }),
    // A pseudo-terminal without a size says 0.
    width: () => (out.isTTY === true ? out.columns || 80 : null),
    print: (line) => void out.write(`${line}\n`),
    printJson: (value) => void out.write(`${JSON.stringify(value, null, 2)}\n`),
    note: (line) => {
      if (!json) err.write(`${line}\n`);
    },
  };
}

/** Files on their way to the server as one bar at the foot of the terminal. */
import path from 'node:path';
import type { DocumentStatusAnswer } from '../contracts/document-api.ts';
import type { UploadProgress } from '../client/index.ts';
import { bytes, count, isolate, printable } from './format.ts';
import { openPainter, paintLine, type Painter } from './progress-bar.ts';
import type { Terminal } from './terminal.ts';

const FILES_SHOWN = 4;
const PAINT_EVERY_MS = 100;
const BAR = 30;

/** Nothing where nobody looks. */
export class UploadBar {
  readonly #terminal: Terminal;
  readonly #painter: Painter | null;
  readonly #total: number;
  readonly #files: number;
  /** Bytes sent of each file, and what it is at. */
  readonly #sent = new Map<string, { sent: number; size: number; doing: string }>();
  #done = 0;
  #paintedAt = 0;

  constructor(terminal: Terminal, files: { size: number }[]) {
    this.#terminal = terminal;
    this.#painter = !terminal.json && terminal.err.isTTY === true ? openPainter(terminal.err) : null;
    this.#files = files.length;
    this.#total = files.reduce((sum, { size }) => sum + size, 0);
  }

  progress(file: string, { phase, bytes: sent, total: size, resumed }: UploadProgress): void {
    const doing = { hashing: `reads it: ${bytes(sent)} of ${bytes(size)}`, uploading: `${bytes(sent)} of ${bytes(size)}${resumed > 0 ? `, ${bytes(resumed)} of them before` : ''}`, completing: 'the server checks it' }[phase];
    this.#set(file, { sent: phase === 'hashing' ? 0 : phase === 'completing' ? size : sent, size, doing });
  }

  processing(file: string, { progress, message }: DocumentStatusAnswer): void {
    const before = this.#sent.get(file);
    this.#set(file, { sent: before?.size ?? 0, size: before?.size ?? 0, doing: `${Math.floor(progress)} %  ${message}` });
  }

  ended(file: string): void {
    this.#done += 1;
    const before = this.#sent.get(file);
    if (before) this.#set(file, { ...before, sent: before.size, doing: '' });
  }

  /** Prints above the bar. */
  aside(print: () => void): void {
    this.#painter?.clear();
    print();
    this.#paintedAt = 0;
  }

  clear(): void {
    this.#painter?.clear();
  }

  #set(file: string, now: { sent: number; size: number; doing: string }): void {
    this.#sent.set(file, now);
    if (this.#painter === null || performance.now() - this.#paintedAt < PAINT_EVERY_MS) return;
    this.#paintedAt = performance.now();
    const width = Math.max(20, (this.#terminal.err.columns || 80) - 1);
    const sent = [...this.#sent.values()].reduce((sum, one) => sum + one.sent, 0);
    const share = this.#total === 0 ? 1 : Math.min(1, sent / this.#total);
    const filled = Math.floor(share * BAR);
    const files = this.#files === 1 ? '' : `  ${count(this.#done)} of ${count(this.#files)} files`;
    this.#painter.paint([
      paintLine([
        { text: 'uploads    ' }, { text: '█'.repeat(filled), style: 'cyan' }, { text: '░'.repeat(BAR - filled), style: 'dim' },
        { text: ` ${(share * 100).toFixed(1).padStart(5)} %`, style: 'bold' }, { text: `  ${bytes(sent)} of ${bytes(this.#total)}${files}` },
      ], width, this.#terminal.paintErr),
      ...[...this.#sent].filter(([, { doing }]) => doing !== '').slice(-FILES_SHOWN).map(([name, { doing }]) =>
        paintLine([{ text: `  ${isolate(printable(path.basename(name)))}  `, style: 'dim' }, { text: printable(doing), style: 'dim' }], width, this.#terminal.paintErr)),
    ]);
  }
}

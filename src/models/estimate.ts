/** How many tokens a question will take, before it is asked. */
import type { Tokens } from './language-model.ts';

/** Of one text's answer, until one has come. */
const FIRST_OUTPUT = 100;
const RECENT = 0.1;

/** By length alone: four characters of English, or one and a half of other scripts, are a token. */
export function roughTokens(text: string): number {
  let plain = 0;
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) < 128) plain++;
  return plain / 4 + (text.length - plain) / 1.5;
}

/** Rough numbers, set right by what calls took. */
export class Estimate {
  /** Of what is said with every request, roughly. */
  readonly instructions: number;
  #inputRatio = 1;
  #output = FIRST_OUTPUT;
  #heard = false;

  constructor(instructions: number) {
    this.instructions = instructions;
  }

  /** `rough`: of all that was said; `texts`: how many were answered. */
  heard(rough: number, took: Tokens | null, texts: number): void {
    if (took === null || rough === 0) return;
    const weight = this.#heard ? RECENT : 1;
    this.#heard = true;
    this.#inputRatio += weight * (took.input / rough - this.#inputRatio);
    this.#output += weight * (took.output / texts - this.#output);
  }

  /** Of one text. */
  of(rough: number): Tokens {
    return { input: Math.ceil(rough * this.#inputRatio), output: Math.ceil(this.#output) };
  }
}

/** What a measure is given, and what it answers. */
export interface Setting {
  folder: string;
  /** Runs of each side; the median counts. */
  rounds: number;
  /** 1: the rows that the budget names. */
  scale: number;
  say(line: string): void;
}

export interface Figure {
  what: string;
  measured: string;
  budget: string;
  held: boolean;
}

export interface Measure {
  title: string;
  figures: Figure[];
  /** Everything that was measured, for those who look closer. */
  details: object;
}

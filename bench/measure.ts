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
  /** What has no budget and is worth comparing: a line is what was measured, then a value for each of the head. */
  sideBySide?: { head: string[]; lines: string[][] };
  figures: Figure[];
  /** Everything that was measured, for those who look closer. */
  details: object;
}

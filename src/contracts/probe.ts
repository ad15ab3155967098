/** One thing that `sheaf system check` looks at. */
export interface Probe {
  name: string;
  /** What was found, for people. Rejects with a `SheafError` whose remedy says what to do, where it is not as it should be. */
  look(): Promise<string>;
}

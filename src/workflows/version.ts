import type { SourceActivities, Verdict, VersionInput } from '../contracts/source.ts';
import type { VersionProgress } from '../contracts/sheet-messages.ts';

const OPENING: ReadonlySet<VersionProgress['stage']> = new Set(['read', 'approved', 'rejected']);

/** The version that a job makes of its sheet, where it brings a source up to date: opened before the first page, closed after the last. */
export class Version {
  /** Null where the job brings no source up to date. */
  progress: VersionProgress | null;

  constructor(progress: VersionProgress | undefined) {
    this.progress = progress ?? null;
  }

  /** The sheet has been read. */
  begin(): void {
    this.progress = { stage: 'read', asks: null };
  }

  /** Nothing is handled yet. */
  get isOpening(): boolean {
    return this.progress !== null && OPENING.has(this.progress.stage);
  }

  /** Somebody has to approve it. It may take days: the job keeps the source to itself, and no place among the running jobs. */
  get isAsked(): boolean {
    return this.progress?.stage === 'asked';
  }

  get asks(): string | null {
    return this.progress?.asks ?? null;
  }

  get isOpen(): boolean {
    return this.progress?.stage === 'open';
  }

  get isSettled(): boolean {
    return this.progress === null || this.progress.stage === 'closed';
  }

  decide(verdict: Verdict): void {
    if (this.progress?.stage === 'asked') this.progress = { ...this.progress, stage: verdict === 'approve' ? 'approved' : 'rejected' };
  }

  /** What has been read becomes a version, or it is settled that it never will; what is open becomes the current one. */
  async goOn(work: (summary: string) => SourceActivities, at: Omit<VersionInput, 'approved'>): Promise<void> {
    const stage = this.progress?.stage;
    if (stage === 'rejected') return void (await work('reject the version').rejectVersion({ ...at, approved: false }));
    if (stage === 'open') {
      await work('make the version the current one').closeVersion({ ...at, approved: true });
      this.progress = { stage: 'closed', asks: null };
      return;
    }
    const { asks } = await work('compare with the current version').openVersion({ ...at, approved: stage === 'approved' });
    this.progress = asks === null ? { stage: 'open', asks: null } : { stage: 'asked', asks };
  }
}

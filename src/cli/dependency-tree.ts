/** How jobs depend on each other, as a tree: what comes first on top, what waits for it below. */
import type { JobGraphAnswer } from '../contracts/plans-api.ts';
import { printable } from './format.ts';
import { stateStyle } from './progress-bar.ts';
import type { Terminal } from './terminal.ts';

type Node = JobGraphAnswer['jobs'][number];

/** A job that waits for several stands below each of them, in full where it comes first. */
export function treeLines({ job, jobs, complete }: JobGraphAnswer, terminal: Pick<Terminal, 'paint'>): string[] {
  const byId = new Map(jobs.map((node) => [node.id, node]));
  const below = Map.groupBy(jobs.flatMap((node) => node.dependsOn.map((on) => ({ on, node }))), ({ on }) => on);
  const shown = new Set<string>();
  const lines: string[] = [];
  const draw = (node: Node, first: string, rest: string): void => {
    const again = shown.has(node.id);
    shown.add(node.id);
    const state = node.state === null ? terminal.paint('dim', 'deleted') : terminal.paint(stateStyle(node.state), node.state);
    const what = again ? 'see above' : printable([node.handler, node.file].filter(Boolean).join('  '));
    const id = node.id === job ? terminal.paint('bold', `${node.id} ◀`) : node.id;
    lines.push(`${first}${id}  ${state}  ${terminal.paint('dim', what)}`.trimEnd());
    if (again) return;
    const children = (below.get(node.id) ?? []).map((one) => one.node);
    for (const [index, child] of children.entries()) {
      const last = index === children.length - 1;
      draw(child, `${rest}${last ? '└─ ' : '├─ '}`, `${rest}${last ? '   ' : '│  '}`);
    }
  };
  for (const node of jobs) if (node.dependsOn.every((id) => !byId.has(id))) draw(node, '', '');
  if (!complete) lines.push('…');
  return lines;
}

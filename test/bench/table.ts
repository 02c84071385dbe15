/** One line of the table that `npm run bench` prints. All of it is text for people. */
export type Row = {
  what: string;
  /** What the bare library reaches at the same work, in the same run. */
  raw: string;
  ours: string;
  /** Ours against raw, run by run. */
  ratio: string;
  aim: string;
  /** Runs, and how many of what in each. */
  sample: string;
  /** 1-minute load averages of the machine meanwhile. */
  load: string;
};

const columns: readonly (keyof Row)[] = ['what', 'raw', 'ours', 'ratio', 'aim', 'sample', 'load'];

/** Markdown that is also readable as it is. */
export function markdownTable(rows: readonly Row[]): string {
  const head = Object.fromEntries(columns.map((column) => [column, column])) as Row;
  const widths = columns.map((column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  return [
    line(columns),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map((row) => line(columns.map((column) => row[column]))),
  ].join('\n');
}

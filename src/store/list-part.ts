/**
 * A part of a list that shows its newest row first, on one side of a row that was seen: reading on from there finds its
 * way by an index however long the list is, and in both directions.
 */
export type ListPart = {
  /** Where the part begins, that row not included; null: at the newest one of all (`older`), or at the oldest (`newer`). */
  from: string | null;
  way: 'older' | 'newer';
  limit: number;
};

/** The end of a statement that reads a part by `column`, after its `where` with at least one condition. */
export function partSql(column: string, { from, way }: ListPart): string {
  const side = from === null ? '' : ` and ${column} ${way === 'older' ? '<' : '>'} :from`;
  return `${side} order by ${column} ${way === 'older' ? 'desc' : 'asc'} limit :limit`;
}

/** Rows as they are shown, whichever way they were read. */
export function newestFirst<Row>(rows: Row[], { way }: ListPart): Row[] {
  return way === 'older' ? rows : rows.toReversed();
}

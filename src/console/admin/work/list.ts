import type { Context } from 'hono';
import type { ListPart } from '../../../store/list-part.ts';
import { hrefOf } from '../../page.tsx';
import type { Site } from '../../page.tsx';

/** Rows on a page. */
const rowsMax = 50;

/** What stands in the address of a list: `older` or `newer` than a row, and what else it is narrowed to. */
export type ListQuery = { part: ListPart; filter: Readonly<Record<string, string>> };

/** The query of a list whose rows are told by an id of ours or by a number; what is neither is the list's start. */
export function readListQuery(c: Context, filterNames: readonly string[]): ListQuery {
  const older = positionOf(c.req.query('older'));
  const newer = older === null ? positionOf(c.req.query('newer')) : null;
  const given = filterNames.map((name) => [name, (c.req.query(name) ?? '').trim()] as const);
  return {
    // One more than is shown tells whether there is more.
    part: { from: older ?? newer, way: newer === null ? 'older' : 'newer', limit: rowsMax + 1 },
    filter: Object.fromEntries(given.filter(([, value]) => value !== '' && value.length <= 320)),
  };
}

function positionOf(given: string | undefined): string | null {
  return given !== undefined && /^(?:[a-z]{3}_[0-9a-f-]{1,40}|\d{1,18})$/.test(given) ? given : null;
}

/** A page of a list, and the ways on from it. */
export type ListPage<Row> = {
  rows: readonly Row[];
  /** Addresses; null: there is nothing that way. */
  first: string | null;
  newer: string | null;
  older: string | null;
};

/** The page that was asked for, from what was found for it. */
export function listPage<Row>(
  site: Site,
  path: string,
  query: ListQuery,
  found: readonly Row[],
  position: (row: Row) => string,
): ListPage<Row> {
  const { part, filter } = query;
  const hasMore = found.length > rowsMax;
  const rows = part.way === 'older' ? found.slice(0, rowsMax) : found.slice(-rowsMax);
  const [newest, oldest] = [rows[0], rows.at(-1)];
  const to = (more: Record<string, string>) => listHref(site, path, { ...filter, ...more });
  const isBehind = part.from !== null;
  const hasNewer = part.way === 'older' ? isBehind : hasMore;
  const hasOlder = part.way === 'older' ? hasMore : isBehind;
  return {
    rows,
    first: isBehind ? to({}) : null,
    newer: hasNewer && newest !== undefined ? to({ newer: position(newest) }) : null,
    older: hasOlder && oldest !== undefined ? to({ older: position(oldest) }) : null,
  };
}

/** The address of a list with a query. */
export function listHref(site: Site, path: string, query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString();
  return hrefOf(site, text === '' ? path : `${path}?${text}`);
}

import type { Child } from 'hono/jsx';
import { hrefOf } from '../../page.tsx';
import type { Site } from '../../page.tsx';

/* What the lists of these pages share. */

/** Rows of one page of a list. */
export const pageRows = 50;

/** The address of a page with what is asked of it; what is empty or null stays out. */
export function hrefWith(site: Site, path: string, query: Readonly<Record<string, string | null>>): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => (entry[1] ?? '') !== '');
  const search = new URLSearchParams(given).toString();
  return hrefOf(site, search === '' ? path : `${path}?${search}`);
}

/** What somebody typed into a filter; null: nothing. */
export function typed(value: string | undefined, charsMax = 320): string | null {
  const text = (value ?? '').trim().slice(0, charsMax);
  return text === '' ? null : text;
}

/** One page of what was found, of which one more than `pageRows` was asked for; and the last row where there is more. */
export function cutPage<Row>(found: readonly Row[]): { shown: readonly Row[]; last: Row | null } {
  const shown = found.slice(0, pageRows);
  return { shown, last: found.length > pageRows ? (shown.at(-1) ?? null) : null };
}

/** A choice among few in a filter. */
export function Choice(props: {
  name: string;
  label: string;
  value: string | null;
  options: readonly { value: string; label: string }[];
}) {
  return (
    <label class="field" for={props.name}>
      <span>{props.label}</span>
      <select id={props.name} name={props.name}>
        {props.options.map(({ value, label }) => (
          <option value={value} selected={value === (props.value ?? '')}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A name and what it is, in a list of facts. */
export function Fact({ name, children }: { name: string; children: Child }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

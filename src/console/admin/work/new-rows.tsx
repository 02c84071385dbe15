import { counted, words } from '../../texts/texts.ts';

/** More than so many are not counted. */
export const newRowsMax = 100;

/** Where a list says that there is more above it: it does not move under whoever reads it. */
export function NewRows({
  count = 0,
  href,
  live = false,
}: {
  count?: number;
  href?: string;
  live?: boolean;
}) {
  return (
    <div id="new-rows" role="status" {...(live ? { 'hx-swap-oob': 'outerMorph' } : {})}>
      {count > 0 && href !== undefined && (
        <p class="outcome still">
          {counted('live.new', count)} <a href={href}>{words('live.show')}</a>
        </p>
      )}
    </div>
  );
}

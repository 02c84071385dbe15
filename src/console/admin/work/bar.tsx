import type { Attention } from '../../../store/overview.ts';
import { hrefOf } from '../../page.tsx';
import type { Site } from '../../page.tsx';

/** How much of each part of the pages needs a person, for the bar. */
export function barCounts(attention: Attention): Readonly<Record<string, number>> {
  return {
    connections: attention.reconnect + attention.permission + attention.consent,
    held: attention.held,
    sends: attention.failed + attention.uncertain + attention.waiting,
    webhooks: attention.webhooks + attention.parked,
  };
}

/** What keeps an open page up to date, where there are scripts: one stream of small parts, which says itself where they belong. */
export function LiveSource({ site, query }: { site: Site; query: Readonly<Record<string, string>> }) {
  return (
    <>
      <div id="live-note" />
      <div
        id="live"
        hx-sse:connect={hrefOf(site, `/admin/live?${new URLSearchParams(query).toString()}`)}
        hx-sse:close="over"
        hx-swap="none"
      />
    </>
  );
}

import type { Context, Hono } from 'hono';
import { html } from 'hono/html';
import { streamSSE } from 'hono/streaming';
import type { SSEStreamingApi } from 'hono/streaming';
import { messageOf } from '../../../lib/failure.ts';
import { countNewerDeliveries } from '../../../store/delivery-list.ts';
import { countNewerHeld } from '../../../store/held.ts';
import { countNewerSends } from '../../../store/send-list.ts';
import type { AdminPages } from '../app.tsx';
import { Count } from '../../page.tsx';
import { findSession, isSessionOpen } from '../../session.ts';
import { words } from '../../texts/texts.ts';
import { barCounts } from './bar.tsx';
import { listHref } from './list.ts';
import { createLooks } from './looks.ts';
import type { Look } from './looks.ts';
import { NewRows, newRowsMax } from './new-rows.tsx';
import { OverviewBody } from './overview.tsx';
import { sendFilterOf } from './sends.tsx';
import { deliveryStates } from './delivery-states.ts';

/** A browser that lost the stream comes back after so long. */
const retryMs = 2_000;

/**
 * `/admin/live`: what has changed on the page that is open, part by part, for as long as it is open and its session
 * lasts. All of it says how it stands, so that whoever comes back after a restart has missed nothing.
 */
export function addLive(app: Hono, pages: AdminPages): void {
  const looks = createLooks(pages);
  app.get('/admin/live', async (c) => {
    const session = await findSession(c, pages, 'administrator');
    const shown = shownPage(c);
    const stopping = (c.env as { stopping?: AbortSignal } | undefined)?.stopping;
    return streamSSE(
      c,
      async (stream) => {
        const left = new AbortController();
        stream.onAbort(() => left.abort());
        const stop = stopping === undefined ? left.signal : AbortSignal.any([left.signal, stopping]);
        await stream.write(`retry: ${retryMs}\n\n`);
        // Also where it was over before: a browser that comes back after hours is told so, and asks no more.
        if (session === null) return sayOver(stream);
        let before = '';
        for await (const look of looks.follow(stop)) {
          if (!(await isSessionOpen(pages, session))) return sayOver(stream);
          const parts = await textOf(await changedParts(pages, shown, look));
          if (parts === before) await stream.write(': nothing new\n\n');
          else await stream.writeSSE({ data: parts });
          before = parts;
        }
      },
      // The browser comes back by itself, and is told all of it then.
      async (error) => pages.log.warn({ error: messageOf(error) }, 'an open page is not brought up to date'),
    );
  });
}

async function sayOver(stream: SSEStreamingApi): Promise<void> {
  await stream.writeSSE({ data: await textOf(<SessionOver />) });
  await stream.writeSSE({ event: 'over', data: '' });
}

/** Which page is open, and where its list begins. */
type Shown = { part: string; newest: string | null; filter: Readonly<Record<string, string>> };

function shownPage(c: Context): Shown {
  const { part = '', newest, ...filter } = c.req.query();
  const isPosition = newest !== undefined && /^(?:[a-z]{3}_[0-9a-f-]{0,40}|\d{1,18})$/.test(newest);
  return { part, newest: isPosition ? newest : null, filter };
}

async function changedParts(pages: AdminPages, shown: Shown, look: Look) {
  const counts = barCounts(await look.attention());
  return (
    <>
      {Object.entries(counts).map(([part, count]) => (
        <Count part={part} count={count} live />
      ))}
      {shown.part === 'overview' && <OverviewBody site={pages.site} overview={await look.overview()} live />}
      {shown.newest !== null && <NewRows {...await newRows(pages, shown, shown.newest)} live />}
    </>
  );
}

/** How many rows are newer than the first of the list, and where they are shown. */
async function newRows(
  { db, site }: AdminPages,
  { part, filter }: Shown,
  than: string,
): Promise<{ count: number; href: string }> {
  const newer = { than, max: newRowsMax };
  if (part === 'sends') {
    const count = await countNewerSends(db, sendFilterOf(filter), newer);
    return { count, href: listHref(site, '/admin/sends', filter) };
  }
  if (part === 'held') {
    const { sub_account: subAccountId = null, user: userId = null } = filter;
    const count = await countNewerHeld(db, { subAccountId, userId }, newer);
    return { count, href: listHref(site, '/admin/held', filter) };
  }
  const { webhook: webhookId = '', state: asked, ...rest } = filter;
  const state = deliveryStates.find((known) => known === asked) ?? null;
  const count = /^\d+$/.test(than) ? await countNewerDeliveries(db, { webhookId, state }, newer) : 0;
  const query = state === null ? rest : { ...rest, state };
  return { count, href: listHref(site, `/admin/webhooks/${encodeURIComponent(webhookId)}`, query) };
}

/** In place of what keeps the page up to date. */
function SessionOver() {
  return (
    <div id="live-note" hx-swap-oob="outerMorph" role="status">
      <p class="outcome still">{words('live.over')}</p>
    </div>
  );
}

async function textOf(part: unknown): Promise<string> {
  return (await html`${part}`).toString();
}

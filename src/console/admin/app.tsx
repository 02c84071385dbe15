import type { Context } from 'hono';
import type { ConsoleSession } from '../../store/console-sessions.ts';
import { findAdministrator } from '../../store/administrators.ts';
import { readAttention } from '../../store/overview.ts';
import type { ConsoleDeps } from '../app.tsx';
import { barParts, hrefOf, sayingPage, sendPage } from '../page.tsx';
import type { Page, Parts, Site } from '../page.tsx';
import { findSession, formTokenOf, readOwnForm } from '../session.ts';
import { words } from '../texts/texts.ts';
import { LiveSource, barCounts } from './work/bar.tsx';

/** What the pages of the administrators share. */
export type AdminPages = ConsoleDeps & { site: Site };
export type AdminSession = Extract<ConsoleSession, { kind: 'administrator' }>;

/** The parts of the pages, in the order of the bar. */
const parts = {
  overview: { path: '/admin', label: 'nav.overview' },
  connections: { path: '/admin/connections', label: 'nav.connections' },
  conversations: { path: '/admin/conversations', label: 'nav.conversations' },
  why: { path: '/admin/why', label: 'nav.why' },
  held: { path: '/admin/held', label: 'nav.held' },
  sends: { path: '/admin/sends', label: 'nav.sends' },
  webhooks: { path: '/admin/webhooks', label: 'nav.webhooks' },
  gateway: { path: '/admin/keys', label: 'nav.gateway' },
} as const satisfies Parts;

export type AdminPart = keyof typeof parts;

/** A page or any other answer, for an administrator; everybody else is led to the way in, and back from there. */
export async function withAdmin(
  c: Context,
  pages: AdminPages,
  work: (session: AdminSession) => Promise<Page | Response>,
): Promise<Response> {
  const session = await findSession(c, pages, 'administrator');
  if (session === null) return leadIn(c, pages);
  const answer = await work(session);
  return answer instanceof Response ? answer : sendPage(c, pages.site, answer);
}

function leadIn(c: Context, { site }: AdminPages): Response {
  // A part of a page, or a form, is nothing to come back to: the page that it stands on is.
  const isPart = c.req.header('hx-request') !== undefined;
  const shown = isPart ? URL.parse(c.req.header('hx-current-url') ?? '') : new URL(c.req.url);
  const isPage = c.req.method === 'GET' && shown !== null;
  const back = isPage && shown.pathname !== '/admin' ? `${shown.pathname}${shown.search}` : null;
  const way = hrefOf(site, `/admin/sign-in${back === null ? '' : `?to=${encodeURIComponent(back)}`}`);
  // Scripts would follow a redirect and put the page of the sign-in where the part was.
  if (isPart) return c.body(null, 401, { 'HX-Redirect': way });
  if (c.req.header('accept') === 'text/event-stream') return c.body(null, 401);
  return c.redirect(way, 303);
}

/** The same for a form of our own page. */
export function withAdminForm(
  c: Context,
  pages: AdminPages,
  work: (session: AdminSession, form: URLSearchParams) => Promise<Page | Response>,
): Promise<Response> {
  return withAdmin(c, pages, async (session) => {
    const form = await readOwnForm(c, pages, session);
    return form === null ? sayingPage('not_same_origin', 403) : work(session, form);
  });
}

/** A page of an administrator, below the bar. `live`: what its list shows, for what keeps it up to date. */
export async function adminPage(
  pages: AdminPages,
  session: AdminSession,
  page: {
    part: AdminPart | 'account';
    title: string;
    list?: NonNullable<Page['list']>;
    body: Page['body'];
    status?: Page['status'];
    live?: Readonly<Record<string, string>>;
  },
): Promise<Page> {
  const { part, live = {}, body, ...rest } = page;
  const [administrator, attention] = await Promise.all([
    findAdministrator(pages.db, session.administratorId),
    readAttention(pages.db, pages.clock.now()),
  ]);
  return {
    status: 200,
    ...rest,
    body: (
      <>
        {body}
        <LiveSource site={pages.site} query={{ ...live, part }} />
      </>
    ),
    bar: {
      name: words('admin.title'),
      style: 'admin.css',
      who: administrator?.email ?? session.administratorId,
      account: { href: hrefOf(pages.site, '/admin/account'), current: part === 'account' },
      parts: barParts(pages.site, parts, part, barCounts(attention)),
      signOut: { action: hrefOf(pages.site, '/admin/sign-out'), formToken: formTokenOf(pages, session) },
    },
  };
}

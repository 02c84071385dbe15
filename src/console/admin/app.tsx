import type { Context, Hono } from 'hono';
import type { ConsoleSession } from '../../store/console-sessions.ts';
import { findAdministrator } from '../../store/administrators.ts';
import type { ConsoleDeps } from '../app.tsx';
import { hrefOf, sayingPage, sendPage } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { endSession, findSession, formTokenOf, readOwnForm } from '../session.ts';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';

/** What the pages of the administrators share. */
export type AdminPages = ConsoleDeps & { site: Site };
export type AdminSession = Extract<ConsoleSession, { kind: 'administrator' }>;

/** The parts of the pages, in the order of the bar. */
const parts = {
  overview: { path: '/admin', label: 'nav.overview' },
  connections: { path: '/admin/connections', label: 'nav.connections' },
} as const satisfies Record<string, { path: string; label: PlainKey }>;

export type AdminPart = keyof typeof parts;

/** `/admin`: the pages of who runs the gateway. */
export function addAdmin(app: Hono, pages: AdminPages): void {
  app.get('/admin', (c) =>
    withAdmin(c, pages, (session) =>
      adminPage(pages, session, { part: 'overview', title: words('nav.overview'), body: null }),
    ),
  );
  app.post('/admin/sign-out', (c) =>
    withAdminForm(c, pages, async (session) => {
      await endSession(c, pages, session);
      return c.redirect(hrefOf(pages.site, '/admin'), 303);
    }),
  );
}

/** A page or any other answer, for an administrator; everybody else is shown the way in. */
export async function withAdmin(
  c: Context,
  pages: AdminPages,
  work: (session: AdminSession) => Promise<Page | Response>,
): Promise<Response> {
  const session = await findSession(c, pages, 'administrator');
  const answer = session === null ? sayingPage('session_over', 401) : await work(session);
  return answer instanceof Response ? answer : sendPage(c, pages.site, answer);
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

/** A page of an administrator, below the bar. */
export async function adminPage(
  pages: AdminPages,
  session: AdminSession,
  page: { part: AdminPart; title: string; body: Page['body']; status?: Page['status'] },
): Promise<Page> {
  const { part, ...rest } = page;
  const administrator = await findAdministrator(pages.db, session.administratorId);
  return {
    status: 200,
    ...rest,
    bar: {
      name: words('admin.title'),
      who: administrator?.email ?? session.administratorId,
      parts: Object.entries(parts).map(([name, { path, label }]) => ({
        href: hrefOf(pages.site, path),
        label: words(label),
        current: name === part,
      })),
      signOut: { action: hrefOf(pages.site, '/admin/sign-out'), formToken: formTokenOf(pages, session) },
    },
  };
}

import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { AdminPages, AdminSession } from '../app.tsx';

const name = 'twoway-once';
/** It is taken by the page that the browser is sent to. */
const seconds = 60;

/** Seals what a page shows once, after a form, in a cookie: in the address it would stay, and loading the page again would do it again. */
export function leaveOnce(c: Context, pages: AdminPages, session: AdminSession, value: object): void {
  const sealed = pages.secretBox.seal(JSON.stringify(value), contextOf(session));
  setCookie(c, name, sealed, {
    path: '/',
    httpOnly: true,
    secure: pages.site.url().startsWith('https:'),
    sameSite: 'Strict',
    maxAge: seconds,
  });
}

/** What was left for this session, which is gone with it; null: nothing. */
export function takeOnce(c: Context, pages: AdminPages, session: AdminSession): unknown {
  const sealed = getCookie(c, name);
  if (sealed === undefined) return null;
  deleteCookie(c, name, { path: '/' });
  try {
    return JSON.parse(pages.secretBox.open(sealed, contextOf(session))) as unknown;
  } catch {
    // Another session's, or made up by somebody.
    return null;
  }
}

function contextOf(session: AdminSession): string {
  return `console once ${session.id}`;
}

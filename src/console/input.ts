import type { MiddlewareHandler } from 'hono';
import { sayingPage, sendPage } from './page.tsx';
import type { Site } from './page.tsx';

/** U+0000 as an address or a form holds it: PostgreSQL takes no text with it, and nobody types it. */
const nul = /%00|\0/;

/**
 * Turns away what holds U+0000, before any page looks at it. It is the one character that no text in PostgreSQL may
 * have; half of a surrogate pair cannot come so far, since addresses and forms are decoded as UTF-8.
 */
export function withoutNul(site: Site): MiddlewareHandler {
  return async (c, next) => {
    const { pathname, search } = new URL(c.req.url);
    // An address that holds it leads nowhere; whatever was typed can be typed again.
    if (nul.test(pathname)) return c.notFound();
    const typed = c.req.method === 'POST' ? search + (await c.req.text()) : search;
    if (nul.test(typed)) return sendPage(c, site, sayingPage('not_text', 400, { framed: true }));
    return next();
  };
}

import type { Context, MiddlewareHandler } from 'hono';
import { html } from 'hono/html';
import type { Child } from 'hono/jsx';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { pieces, words } from './texts.ts';
import type { Piece, TextKey, Values } from './texts.ts';

/** Where the pages are. */
export type Site = {
  /** Where browsers reach the gateway, without a slash at the end. */
  url(): string;
  /** The style sheet's version, in its address, so that browsers may keep it. */
  styleVersion: string;
};

/** What one page is. */
export type Page = {
  title: string;
  status: ContentfulStatusCode;
  body: Child;
  /** Where else its forms may lead, redirects included: browsers check those too. Origins, or `https:`. */
  formTargets?: readonly string[];
  /** Goes on by itself to this address. */
  goesTo?: string | null;
};

/** Sends a page with the headers that all of them have. */
export function sendPage(c: Context, site: Site, page: Page): Response | Promise<Response> {
  return c.html(html`<!doctype html>${(<Document site={site} page={page} />)}`, page.status, {
    'Content-Security-Policy': contentSecurityPolicy(page.formTargets ?? []),
    'X-Frame-Options': 'DENY',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=()',
  });
}

/** What every answer carries, redirects included. */
export const commonHeaders: MiddlewareHandler = async (c, next) => {
  c.header('Cache-Control', 'no-store');
  c.header('X-Content-Type-Options', 'nosniff');
  // The address of the start page opens it, and that of the callback holds a code.
  c.header('Referrer-Policy', 'no-referrer');
  await next();
};

/**
 * No script at all, nothing from elsewhere, and no frame around it: the consent pages of Google and
 * Microsoft refuse to be framed, so a page that leads to them has no use in one.
 */
function contentSecurityPolicy(formTargets: readonly string[]): string {
  return [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self' data:",
    ['form-action', "'self'", ...formTargets].join(' '),
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** A page of ours, as a page of ours refers to it: by its path, below whatever path the gateway is at. */
export function hrefOf(site: Site, path: string): string {
  return `${new URL(site.url()).pathname.replace(/\/$/, '')}${path}`;
}

function Document({ site, page }: { site: Site; page: Page }) {
  const style = hrefOf(site, `/assets/console.css?v=${site.styleVersion}`);
  return (
    <html lang={words('page.language')}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        {typeof page.goesTo === 'string' && <meta http-equiv="refresh" content={`2; url=${page.goesTo}`} />}
        <title>{page.title}</title>
        <link rel="stylesheet" href={style} />
        <link rel="icon" href="data:," />
      </head>
      <body>
        <main>
          <h1>{page.title}</h1>
          {page.body}
        </main>
        <footer>{words('page.footer')}</footer>
      </body>
    </html>
  );
}

/** A text of the catalogue, its values set apart: a name must not read as if it were ours. */
export function Say<Key extends TextKey>({ text, with: values }: { text: Key; with?: Values<Key>[0] }) {
  const said = pieces(text, ...((values === undefined ? [] : [values]) as Values<Key>));
  return <Pieces of={said} />;
}

export function Pieces({ of: said }: { of: readonly Piece[] }) {
  return <>{said.map(({ text, isValue }) => (isValue ? <Value of={text} /> : text))}</>;
}

/** Somebody's name or address, whatever its direction; a long address breaks behind its @ before it breaks anywhere. */
export function Value({ of: text }: { of: string }) {
  const [first = '', ...more] = text.split('@');
  return (
    <bdi>
      {first}
      {more.map((part) => (
        <>
          @<wbr />
          {part}
        </>
      ))}
    </bdi>
  );
}

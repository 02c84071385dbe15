import type { Context, MiddlewareHandler } from 'hono';
import { html } from 'hono/html';
import type { Child } from 'hono/jsx';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Piece } from '../lib/said.ts';
import { assetPath } from './assets.ts';
import { findText, number, pieces, words } from './texts/texts.ts';
import type { PlainKey, TextKey, Values } from './texts/texts.ts';

/** Where the pages are. */
export type Site = {
  /** Where browsers reach the gateway, without a slash at the end. */
  url(): string;
  /** Origins of the CRM, whose pages may show those of one person in a frame, and hear how connecting ended. */
  crmOrigins: readonly string[];
};

/** What one page is. */
export type Page = {
  title: string;
  /** The list that it is one of; a link back to it stands above the title. */
  list?: { href: string; label: string };
  status: ContentfulStatusCode;
  body: Child;
  /** Where else its forms may lead, redirects included: browsers check those too. Origins, or `https:`. */
  formTargets?: readonly string[];
  /** Goes on by itself to this address. */
  goesTo?: string | null;
  /** The bar of the pages of somebody who is signed in; without it the page is one narrow sheet. */
  bar?: Bar;
  /** Parts of it are put in place while it is open (htmx), also where it has no bar. */
  live?: boolean;
  /** Whether the CRM may show it in a frame. */
  framed?: boolean;
};

/** What stands above the pages of somebody who is signed in. */
export type Bar = {
  /** What these pages are. */
  name: string;
  /** What they alone look like. */
  style: 'mailbox.css' | 'admin.css';
  /** Who is signed in, and where they see their account; null: nowhere. */
  who: string;
  account: { href: string; current: boolean } | null;
  /** With a count it has a name too, by which the count is kept up to date. */
  parts: readonly { href: string; label: string; current: boolean; count?: { name: string; of: number } }[];
  /** A form that ends the session. */
  signOut: { action: string; formToken: string };
};

/** The parts of some pages, in the order of their bar, by name. */
export type Parts = Readonly<Record<string, { path: string; label: PlainKey }>>;

/** As a bar shows them. `counts`: how much of each needs somebody, by name. */
export function barParts(
  site: Site,
  parts: Parts,
  current: string,
  counts: Readonly<Record<string, number>> = {},
): Bar['parts'] {
  return Object.entries(parts).map(([name, { path, label }]) => ({
    href: hrefOf(site, path),
    label: words(label),
    current: name === current,
    ...(counts[name] === undefined ? {} : { count: { name, of: counts[name] } }),
  }));
}

/** Whether it is asked for by a frame, the CRM's; browsers say so (Fetch Metadata), and one that does not is taken for a window. */
export function isFramed(c: Context): boolean {
  return c.req.header('sec-fetch-dest') === 'iframe';
}

/** Sends a page with the headers that all of them have. */
export function sendPage(c: Context, site: Site, page: Page): Response | Promise<Response> {
  const framers = page.framed === true ? site.crmOrigins : [];
  const document = html`<!doctype html>${(<Document site={site} page={page} />)}`;
  return c.html(document, page.status, {
    'Content-Security-Policy': contentSecurityPolicy(page.formTargets ?? [], framers),
    ...(framers.length === 0 ? { 'X-Frame-Options': 'DENY' } : {}),
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=()',
  });
}

/** Sends a part of a page, for htmx to put in its place; it is nothing to be shown by itself, in a frame least of all. */
export function sendPart(c: Context, part: Child): Response | Promise<Response> {
  return c.html(html`${part}`, 200, {
    'Content-Security-Policy':
      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'X-Frame-Options': 'DENY',
  });
}

/** What every answer carries, redirects included. */
export const commonHeaders: MiddlewareHandler = async (c, next) => {
  c.header('Cache-Control', 'no-store');
  c.header('X-Content-Type-Options', 'nosniff');
  // The address of a link opens it, and that of the callback holds a code.
  c.header('Referrer-Policy', 'no-referrer');
  await next();
};

/** Our own scripts and styles alone, nothing inline, nothing from elsewhere. */
function contentSecurityPolicy(formTargets: readonly string[], framers: readonly string[]): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "frame-src 'self'",
    ['form-action', "'self'", ...formTargets].join(' '),
    "base-uri 'none'",
    ['frame-ancestors', ...(framers.length === 0 ? ["'none'"] : ["'self'", ...framers])].join(' '),
  ].join('; ');
}

/** A page of ours, as a page of ours refers to it: by its path, below whatever path the gateway is at. */
export function hrefOf(site: Site, path: string, query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `${new URL(site.url()).pathname.replace(/\/$/, '')}${path}${search === '' ? '' : `?${search}`}`;
}

/** htmx adds no style of its own, runs nothing that stands in attributes, and asks nobody but us. */
const htmxConfig = JSON.stringify({
  includeIndicatorStyles: false,
  allowEval: false,
  selfRequestsOnly: true,
  // After a restart a page is up to date again within seconds.
  sse: { reconnectMaxDelay: 5_000 },
});

function Document({ site, page }: { site: Site; page: Page }) {
  const asset = (name: Parameters<typeof assetPath>[0]) => hrefOf(site, assetPath(name));
  const { bar } = page;
  return (
    <html lang={words('page.language')}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        {typeof page.goesTo === 'string' && <meta http-equiv="refresh" content={`2; url=${page.goesTo}`} />}
        <title>{bar === undefined ? page.title : `${page.title} · ${bar.name}`}</title>
        <link rel="stylesheet" href={asset('console.css')} />
        <link rel="icon" href="data:," />
        <script src={asset('console.js')} defer />
        {bar !== undefined &&
          (['signed-in.css', bar.style] as const).map((name) => <link rel="stylesheet" href={asset(name)} />)}
        {(bar !== undefined || page.live === true) && (
          <>
            <meta name="htmx-config" content={htmxConfig} />
            <script src={asset('htmx.js')} defer />
          </>
        )}
      </head>
      {bar === undefined ? (
        <body>
          <main>
            <h1>{page.title}</h1>
            {page.body}
          </main>
          <footer>{words('page.footer')}</footer>
        </body>
      ) : (
        <body class="signed-in">
          <a class="skip" href="#content">
            {words('page.skip')}
          </a>
          <TopBar bar={bar} />
          <main id="content" tabindex={-1}>
            {page.list !== undefined && (
              <p class="crumbs">
                <a href={page.list.href}>{page.list.label}</a>
              </p>
            )}
            <h1>{page.title}</h1>
            {page.body}
          </main>
        </body>
      )}
    </html>
  );
}

function TopBar({ bar }: { bar: Bar }) {
  return (
    <header>
      <strong>{bar.name}</strong>
      <nav aria-label={words('page.navigation')}>
        <ul>
          {bar.parts.map(({ href, label, current, count }) => (
            <li>
              <a href={href} aria-current={current ? 'page' : undefined}>
                {label}
                {count !== undefined && <Count part={count.name} count={count.of} />}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <form method="post" action={bar.signOut.action}>
        <input type="hidden" name="form_token" value={bar.signOut.formToken} />
        <span class="who">
          {bar.account === null ? (
            <Value of={bar.who} />
          ) : (
            <a href={bar.account.href} aria-current={bar.account.current ? 'page' : undefined}>
              <Value of={bar.who} />
            </a>
          )}
        </span>
        <button class="quiet small">{words('page.sign_out')}</button>
      </form>
    </header>
  );
}

/** How much of a part of the pages needs somebody; nothing where that is nothing. */
export function Count({ part, count, live = false }: { part: string; count: number; live?: boolean }) {
  return (
    <span
      id={`count-${part}`}
      class="count"
      hidden={count === 0}
      {...(live ? { 'hx-swap-oob': 'outerMorph' } : {})}
    >
      {number(count)}
    </span>
  );
}

/** A page that says that something ended otherwise; its texts are `<name>.title`, `.text` and `.next`. */
export function sayingPage(name: string, status: ContentfulStatusCode, more: Partial<Page> = {}): Page {
  const said = (part: string) => findText(`${name}.${part}`) ?? [];
  return {
    title: said('title')
      .map(({ text }) => text)
      .join(''),
    status,
    body: (
      <>
        <div class={`outcome ${status >= 500 ? 'bad' : 'still'}`} role={status >= 500 ? 'alert' : 'status'}>
          <p>
            <Pieces of={said('text')} />
          </p>
        </div>
        <p>
          <Pieces of={said('next')} />
        </p>
      </>
    ),
    ...more,
  };
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

import { Hono } from 'hono';
import type { Context } from 'hono';
import type { SecretBox } from '../lib/secret-box.ts';
import type { Hits } from '../outbound/hits.ts';
import { openerOf } from '../outbound/opener.ts';
import type { Opener } from '../outbound/opener.ts';
import { readClick, readOpen } from '../message/tracking-links.ts';

/** A picture of one transparent point: GIF89a, two colours, the first of them transparent. 43 bytes. */
const pixel = Uint8Array.from(
  Buffer.from(
    '474946383961' + // GIF89a
      '01000100800000' + // 1 × 1, with a table of two colours
      '000000ffffff' + // black, white
      '21f9040100000000' + // the first of them is transparent
      '2c00000000010001000002024401003b', // an image of one point of it, and the end
    'hex',
  ),
);

/**
 * What recipients of tracked mail load (D7), under `/t/`, as a Hono app beside the API: it knows nobody, sets
 * nothing in a browser, and answers at once, whatever the database does. What it is not sure of is a plain 404.
 */
export function createTracking({
  secretBox,
  hits,
}: {
  secretBox: SecretBox;
  hits: Pick<Hits, 'take'>;
}): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.header('Cache-Control', 'no-store');
    c.header('Referrer-Policy', 'no-referrer');
    c.header('X-Content-Type-Options', 'nosniff');
  });
  app.notFound((c) => c.text('Not found\n', 404));
  app.get('/t/o/:token', (c) => {
    const sendId = readOpen(secretBox, c.req.param('token'));
    if (sendId === null) return c.notFound();
    hits.take({ sendId, n: 0, opener: opener(c) });
    return c.body(pixel, 200, { 'Content-Type': 'image/gif' });
  });
  app.get('/t/c/:token', (c) => {
    const click = readClick(secretBox, c.req.param('token'));
    if (click === null) return c.notFound();
    hits.take({ sendId: click.sendId, n: click.n, opener: opener(c) });
    return c.redirect(click.url, 302);
  });
  return app;
}

function opener(c: Context): Opener {
  const said = (name: string) => c.req.header(name) ?? '';
  const purpose = ['sec-purpose', 'purpose', 'x-moz', 'x-purpose'].map(said).join(' ');
  return openerOf({ method: c.req.method, userAgent: said('user-agent'), purpose });
}

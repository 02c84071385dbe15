import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context, Hono } from 'hono';
import type { MessageId } from '../../../lib/id.ts';
import { escapeHtml } from '../../../message/html.ts';
import { shownHtml } from '../../../message/shown-html.ts';
import { openDownload } from '../../../store/download.ts';
import type { Content } from '../../../store/download.ts';
import { subAccountsOf } from '../../../store/filing-writes.ts';
import { findAttachmentContent, findHtml, findRawContent } from '../../../store/public-message.ts';
import { hrefOf, sayingPage, sendPage } from '../../page.tsx';
import { words } from '../../texts/texts.ts';
import { withAdmin } from '../app.tsx';
import type { AdminPages } from '../app.tsx';

/*
 * What a stranger sent, as it is: formatted mail in a frame, its pictures, its attachments, its source. Each with a
 * policy of its own, under which nothing of it runs, and nothing is loaded from elsewhere that was not asked for.
 */

const path = '/admin/messages/:id';

export function addContent(app: Hono, pages: AdminPages): void {
  app.get(`${path}/html`, (c) =>
    withAdmin(c, pages, async () => {
      const id = c.req.param('id') as MessageId;
      const found = await findHtml(pages.db, id);
      return found === null ? sayingPage('not_found', 404) : sendFrame(c, pages, { ...found, id });
    }),
  );
  app.get(`${path}/attachments/:n{[0-9]{1,6}}`, (c) =>
    withAdmin(c, pages, async () => {
      const { id, n } = c.req.param();
      return sendBlob(c, pages, await attachmentOf(pages, id as MessageId, Number(n)));
    }),
  );
  app.get(`${path}/raw`, (c) =>
    withAdmin(c, pages, async () => {
      const id = c.req.param('id') as MessageId;
      const sub = await subAccountOf(pages, id);
      const raw = sub === null ? null : await findRawContent(pages.db, sub, id);
      if (raw !== null && raw.sha256 === null) return sayingPage('no_source', 404);
      return sendBlob(
        c,
        pages,
        raw?.sha256 == null ? null : { sha256: raw.sha256, type: 'message/rfc822', name: `${id}.eml` },
      );
    }),
  );
  addPictures(app, pages);
}

async function subAccountOf(pages: AdminPages, id: MessageId): Promise<string | null> {
  const [owner] = await subAccountsOf(pages.db, { messages: [id], sends: [] });
  return owner?.sub_account_id ?? null;
}

async function attachmentOf(pages: AdminPages, id: MessageId, n: number): Promise<Content | null> {
  const sub = await subAccountOf(pages, id);
  const found = sub === null ? null : await findAttachmentContent(pages.db, sub, id, n);
  return found?.sha256 == null ? null : { ...found, sha256: found.sha256 };
}

async function sendBlob(c: Context, pages: AdminPages, content: Content | null): Promise<Response> {
  const asked = { method: c.req.method, header: (name: string) => c.req.header(name) };
  const download = content === null ? null : await openDownload(pages.blobs, content, asked);
  switch (download?.outcome) {
    case 'found':
      return download.body === null
        ? c.body(null, download.status, download.headers)
        : c.body(download.body, download.status, download.headers);
    case 'unchanged':
      return c.body(null, 304, download.headers);
    case 'unsatisfiable':
      return c.body(null, 416, { 'Content-Range': `bytes */${download.size}` });
    case 'not_found':
    case undefined:
      return sendPage(c, pages.site, sayingPage('not_found', 404));
    default:
      return download satisfies never;
  }
}

/** What a mail's frame may do: open links elsewhere, and run the one script that its policy names. No origin of ours. */
export const frameMay = 'allow-scripts allow-popups allow-popups-to-escape-sandbox';

/** How a mail looks that says nothing of it. On white in the dark, too: mail is written for that. */
const frameCss = `
:root{color-scheme:light}
body{display:flow-root;margin:0;padding:.75rem 1rem;background:#fff;color:#1b1f27;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
img{max-width:100%;height:auto}
img:not([src]){display:inline-block;min-width:1rem;min-height:1rem;outline:1px dashed #9aa3b0}
pre{white-space:pre-wrap}
blockquote{margin:.5rem 0;padding-left:.75rem;border-left:3px solid #d9dde3}
details{margin:.5rem 0}
summary{width:fit-content;color:#5a6270;cursor:pointer}`;

/**
 * Tells the page around it how high the mail is, since nobody else may look in. It is all that may run there: the policy
 * knows it by its hash, which no script of a mail has. When only the height of the window has changed it says nothing:
 * a mail that is as high as its window would grow with it for ever.
 */
const frameScript = `
let width = innerWidth;
function tell() {
  const page = document.documentElement;
  const height = Math.ceil(page.getBoundingClientRect().height) + innerHeight - page.clientHeight;
  if (innerWidth > 0) parent.postMessage({ mailHeight: height }, '*');
}
for (const type of ['DOMContentLoaded', 'load', 'toggle']) document.addEventListener(type, tell, true);
addEventListener('resize', () => {
  if (innerWidth === width) return;
  width = innerWidth;
  tell();
});`;
const frameScriptHash = createHash('sha256').update(frameScript).digest('base64');

type Framed = { id: MessageId; html: string; pictures: { n: number; content_id: string }[] };

function sendFrame(c: Context, pages: AdminPages, { id, html, pictures }: Framed): Response {
  // Whoever leads somebody here from elsewhere would have the sender told that the mail is read.
  const isOurs = ['same-origin', 'none', undefined].includes(c.req.header('sec-fetch-site'));
  const remoteImages = c.req.query('images') === '1' && isOurs;
  const byId = new Map(pictures.map(({ n, content_id }) => [content_id.replaceAll(/^<|>$/g, ''), n]));
  const { html: body, css } = shownHtml(html, {
    remoteImages,
    quoteLabel: words('conv.quoted'),
    inlineImage: (contentId) => {
      const n = byId.get(contentId);
      return n === undefined ? null : pictureHref(pages, id, n);
    },
  });
  const nonce = randomBytes(16).toString('base64');
  const language = escapeHtml(words('page.language'));
  c.header(
    'Content-Security-Policy',
    [
      "default-src 'none'",
      `img-src 'self' data:${remoteImages ? ' https: http:' : ''}`,
      `style-src 'nonce-${nonce}'`,
      `script-src 'sha256-${frameScriptHash}'`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'self'",
      `sandbox ${frameMay}`,
    ].join('; '),
  );
  c.header('Permissions-Policy', 'camera=(), geolocation=(), microphone=(), payment=()');
  return c.html(
    `<!doctype html><html lang="${language}"><head><meta charset="utf-8">` +
      `<meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(words('conv.mail'))}</title>` +
      // Before the mail, whose end could be inside something that it has not closed.
      `<style nonce="${nonce}">${frameCss}\n${css}</style><script>${frameScript}</script></head><body>${body}</body></html>`,
  );
}

/*
 * A frame without an origin of its own gets no cookie along with its pictures: their addresses say that they were
 * made for somebody who is signed in, and for how long.
 */

const pictureLifeMs = 3_600_000;

function pictureHref(pages: AdminPages, id: MessageId, n: number): string {
  const until = pages.clock.now() + pictureLifeMs;
  const proof = proofOf(pages, id, n, until).toString('base64url');
  return hrefOf(pages.site, `/admin/messages/${id}/pictures/${n}?until=${until}&proof=${proof}`);
}

function proofOf(pages: AdminPages, id: string, n: number, until: number): Buffer {
  return pages.secretBox.mac('console picture', `${id} ${n} ${until}`);
}

/** What browsers draw without running anything; SVG is a document. */
const drawn = /^image\/(?:png|jpe?g|gif|webp)$/i;

function addPictures(app: Hono, pages: AdminPages): void {
  app.get(`${path}/pictures/:n{[0-9]{1,6}}`, async (c) => {
    const { id } = c.req.param();
    const [n, until] = [Number(c.req.param('n')), Number(c.req.query('until'))];
    const given = Buffer.from(c.req.query('proof') ?? '', 'base64url');
    const right = proofOf(pages, id, n, until);
    const isProven = given.length === right.length && timingSafeEqual(given, right);
    if (!isProven || until < pages.clock.now()) return sendPage(c, pages.site, sayingPage('not_found', 404));
    const content = await attachmentOf(pages, id as MessageId, n);
    return sendBlob(c, pages, content !== null && drawn.test(content.type) ? content : null);
  });
}

import type { Context, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { html } from 'hono/html';
import type { Child } from 'hono/jsx';
import { Failure, placeOfError } from '../../lib/failure.ts';
import type { DryRunProgress } from '../../mailbox/dry-run.ts';
import { findConnectLink } from '../../store/connect-links.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import { readLeaving } from '../../store/leaving.ts';
import { countLook, findProvenLogin } from '../../store/proven-logins.ts';
import type { ProvenLogin } from '../../store/proven-logins.ts';
import { hrefOf, sendPage } from '../page.tsx';
import type { Page } from '../page.tsx';
import { hashOf } from './browser.ts';
import { LookedPart, LookingPart, readyPage } from './confirm-pages.tsx';
import type { Looked } from './confirm-pages.tsx';
import { whereOf } from './done-page.tsx';
import { connectedAgainPage, outcomePage, resultPage } from './outcome-pages.tsx';
import { confirmPath } from './link.ts';
import type { ConnectPage } from './link.ts';

/** Looks that one login may begin, and that this process has under way at once. */
const looksMax = { ofLogin: 10, atOnce: 8 };

/** The page between a login that succeeded and the connection: the dry run, and the person's last word. */
export function addConfirm(app: Hono, page: ConnectPage): void {
  let looking = 0;
  const look = async (open: Open, onProgress: (progress: DryRunProgress) => void, stop: AbortSignal) => {
    if (looking >= looksMax.atOnce) return { state: 'failed' as const };
    looking += 1;
    try {
      return await lookAt(page, open, onProgress, stop);
    } finally {
      looking -= 1;
    }
  };
  app.get('/connect/:token/confirm/:login', (c) => withLogin(c, page, (open) => ready(c, page, open, null)));
  app.post('/connect/:token/confirm/:login', (c) => withLogin(c, page, (open) => decide(c, page, open)));
  app.get('/connect/:token/confirm/:login/look', (c) =>
    withLogin(c, page, async (open) => {
      if (c.req.header('hx-request') === undefined) {
        const { signal } = c.req.raw;
        return ready(c, page, open, await look(open, () => undefined, signal));
      }
      return streamSSE(c, async (stream) => {
        const gone = new AbortController();
        stream.onAbort(() => gone.abort());
        const write = async (part: Child) => stream.writeSSE({ data: String(await html`${part}`) });
        const looked = await look(
          open,
          (progress) => void write(<LookingPart progress={progress} />),
          gone.signal,
        );
        await write(<LookedPart link={open.link} looked={looked} />);
      });
    }),
  );
}

/** A login that waits for the person's word, and the link that it came by. */
type Open = { link: ConnectLink; login: ProvenLogin & { credentialSealed: string } };

async function withLogin(
  c: Context,
  page: ConnectPage,
  work: (open: Open) => Promise<Page | Response>,
): Promise<Response> {
  const tokenHash = hashOf(c.req.param('login') ?? '');
  const [link, login] = await Promise.all([
    findConnectLink(page.db, { tokenHash: hashOf(c.req.param('token') ?? '') }),
    findProvenLogin(page.db, tokenHash),
  ]);
  const answer = await answerFor(c, page, { link, login }, work);
  return answer instanceof Response ? answer : sendPage(c, page.site, { ...answer, framed: true });
}

async function answerFor(
  c: Context,
  page: ConnectPage,
  { link, login }: { link: ConnectLink | null; login: ProvenLogin | null },
  work: (open: Open) => Promise<Page | Response>,
): Promise<Page | Response> {
  if (link === null) return outcomePage('link_unknown', { link, retryUrl: null });
  const retryUrl = link.status === 'open' ? hrefOf(page.site, `/connect/${c.req.param('token')}`) : null;
  if (login?.linkId !== link.id) return outcomePage('login_gone', { link, retryUrl });
  const { credentialSealed, outcome, mailbox } = login;
  if (outcome === 'connected')
    return (
      connectedAgainPage(whereOf(c, page.site), link) ?? outcomePage('link_used', { link, retryUrl: null })
    );
  if (outcome === 'declined' || credentialSealed === null)
    return outcomePage('declined', { link, retryUrl }, { address: mailbox.address });
  return work({ link, login: { ...login, credentialSealed } });
}

async function ready(
  c: Context,
  page: ConnectPage,
  { link, login }: Open,
  looked: Looked | null,
): Promise<Page> {
  const leaving = link.replace ? await readLeaving(page.db, link) : null;
  return readyPage({ link, login, leaving, url: urlOf(c, page), looked });
}

function urlOf(c: Context, page: ConnectPage): string {
  return hrefOf(page.site, confirmPath(c.req.param('token') ?? '', c.req.param('login') ?? ''));
}

/** The person's last word. */
async function decide(c: Context, page: ConnectPage, { link, login }: Open): Promise<Page | Response> {
  const site = c.req.header('sec-fetch-site');
  // Only this person knows the address, so that no other page can send this form; and none shall try.
  if (site !== undefined && site !== 'same-origin')
    return outcomePage('not_same_origin', { link, retryUrl: null });
  const form = new URLSearchParams(await c.req.text());
  if (form.get('decision') === 'decline') await page.connecting.decline(login.id);
  else if (form.get('decision') === 'connect') {
    const result = await page.connecting.confirm(login.id);
    page.log.info({ link: link.id, outcome: result?.outcome ?? 'settled' }, 'connect page');
    const around = { link, retryUrl: hrefOf(page.site, `/connect/${c.req.param('token')}`) };
    if (result !== null && result.outcome !== 'connected' && result.outcome !== 'to_confirm')
      return resultPage(whereOf(c, page.site), result, around);
  }
  return c.redirect(urlOf(c, page), 303);
}

async function lookAt(
  page: ConnectPage,
  { link, login }: Open,
  onProgress: (progress: DryRunProgress) => void,
  stop: AbortSignal,
): Promise<Looked> {
  const { subAccountId, userId } = link;
  try {
    if (!(await countLook(page.db, login.id, looksMax.ofLogin))) return { state: 'failed' };
    return { state: 'done', dryRun: await page.lookAhead({ subAccountId, userId, login }, onProgress, stop) };
  } catch (error) {
    if (stop.aborted) return { state: 'failed' };
    const why = error instanceof Failure ? { code: error.code } : placeOfError(error);
    page.log.warn({ link: link.id, ...why }, 'nothing could be looked at before connecting');
    return { state: 'failed' };
  }
}

import type { Hono } from 'hono';
import { BeingSent, StillConnected, eraseBrought } from '../../outbound/erasing.ts';
import { findConnection } from '../../store/connections.ts';
import type { PublicConnection } from '../../store/connections.ts';
import { readLeaving } from '../../store/leaving.ts';
import { hrefOf } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Form } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { counted, words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { mailboxPage, notTheirs, withSession, withSessionForm } from './page.tsx';
import type { MailboxPages, UserSession } from './page.tsx';

/** One request erases no longer than this; a page of its own says how far it is, and goes on. */
const erasingMsMax = 5_000;

/** `/mailbox/disconnect` and `/mailbox/erase`: two verbs, each confirmed on a page of its own (C7). */
export function addEnding(app: Hono, pages: MailboxPages): void {
  const { site } = pages;
  app.get('/mailbox/disconnect', (c) =>
    withSession(c, pages, async (session) => {
      const connection = await findConnection(pages.db, session);
      if (connection === null || connection.ended_at !== null)
        return c.redirect(hrefOf(site, '/mailbox'), 303);
      return disconnectPage(pages, session, connection);
    }),
  );
  app.post('/mailbox/disconnect', (c) =>
    withSessionForm(c, pages, async (session, form) => {
      const { subAccountId, userId } = session;
      await pages.connecting.disconnect({ subAccountId, userId });
      // Asked once more there: what is erased does not come back.
      return c.redirect(hrefOf(site, form.get('erase') === null ? '/mailbox' : '/mailbox/erase'), 303);
    }),
  );
  app.get('/mailbox/erase', (c) =>
    withSession(c, pages, async (session) => {
      const ended = await endedConnection(pages, session);
      return ended === null ? notTheirs() : erasePage(pages, session, ended, null);
    }),
  );
  app.post('/mailbox/erase', (c) =>
    withSessionForm(c, pages, async (session, form) => {
      const ended = await endedConnection(pages, session);
      if (ended === null) return notTheirs();
      return erase(pages, session, ended, Number(form.get('erased') ?? 0) || 0);
    }),
  );
}

/** Their last connection, where it had a mailbox and has ended. */
async function endedConnection(
  { db }: MailboxPages,
  session: UserSession,
): Promise<(PublicConnection & { email: string }) | null> {
  const connection = await findConnection(db, session);
  if (connection === null || connection.ended_at === null || connection.email === null) return null;
  return { ...connection, email: connection.email };
}

async function disconnectPage(
  pages: MailboxPages,
  session: UserSession,
  connection: PublicConnection,
): Promise<Page> {
  const { site } = pages;
  const waiting = (await readLeaving(pages.db, session))?.sends ?? 0;
  return mailboxPage(pages, session, {
    part: 'overview',
    title: words('mine.end_title', {
      address: connection.email ?? words(`mine.provider_${connection.provider}`),
    }),
    body: (
      <section class="card">
        <h2>{words('mine.end_stops')}</h2>
        <ul>
          <li>{words('mine.end_stops_read')}</li>
          <li>{words('mine.end_stops_send')}</li>
          {waiting > 0 && <li>{counted('leaves.sends', waiting)}</li>}
          <li>{words('mine.end_stops_access')}</li>
        </ul>
        <h2>{words('mine.end_stays')}</h2>
        <ul>
          <li>{words('mine.end_stays_crm')}</li>
          <li>{words('mine.end_stays_mailbox')}</li>
        </ul>
        <p>{words('mine.end_again')}</p>
        <Form action={hrefOf(site, '/mailbox/disconnect')} formToken={formTokenOf(pages, session)}>
          {connection.email !== null && (
            <label class="option">
              <input type="checkbox" name="erase" value="1" />
              <span>
                {words('mine.end_erase')}
                <small>{words('mine.end_erase_hint')}</small>
              </span>
            </label>
          )}
          <p class="actions">
            <button class="danger">{words('mine.end_yes')}</button>
            <a class="button quiet" href={hrefOf(site, '/mailbox')}>
              {words('mine.end_no')}
            </a>
          </p>
        </Form>
      </section>
    ),
  });
}

function erasePage(
  pages: MailboxPages,
  session: UserSession,
  { email }: { email: string },
  trouble: PlainKey | null,
): Promise<Page> {
  const { site } = pages;
  return mailboxPage(pages, session, {
    part: 'overview',
    title: words('mine.erase_title', { address: email }),
    status: trouble === null ? 200 : 409,
    body: (
      <>
        <p class="outcome good">{words('mine.ended')}</p>
        <section class="card">
          {trouble !== null && (
            <p class="outcome bad" role="alert">
              {words(trouble)}
            </p>
          )}
          <p>{words('mine.erase_what')}</p>
          <p>{words('mine.erase_not')}</p>
          <Form action={hrefOf(site, '/mailbox/erase')} formToken={formTokenOf(pages, session)}>
            <p class="actions">
              <button class="danger">{words('mine.erase_yes')}</button>
              <a class="button quiet" href={hrefOf(site, '/mailbox')}>
                {words('mine.keep')}
              </a>
            </p>
          </Form>
        </section>
      </>
    ),
  });
}

/** Erases for a while; where more is left, the page says how far it is, and its one form goes on. */
async function erase(
  pages: MailboxPages,
  session: UserSession,
  ended: PublicConnection & { email: string },
  before: number,
): Promise<Page> {
  const { site, clock } = pages;
  const until = clock.monotonic() + erasingMsMax;
  let isLeft = false;
  try {
    const of = { id: ended.id, subAccountId: session.subAccountId };
    const erased = await eraseBrought(pages, of, () => (isLeft = clock.monotonic() >= until));
    const all = before + erased;
    return await mailboxPage(pages, session, {
      part: 'overview',
      title: words('mine.erase_title', { address: ended.email }),
      body: isLeft ? (
        <form method="post" action={hrefOf(site, '/mailbox/erase')} class="card" data-submit>
          <input type="hidden" name="form_token" value={formTokenOf(pages, session)} />
          <input type="hidden" name="erased" value={String(all)} />
          <p role="status">{counted('mine.erasing', all)}</p>
          <p class="actions">
            <button>{words('mine.erasing_go')}</button>
          </p>
        </form>
      ) : (
        <section class="card">
          <p class="outcome good" role="status">
            {words('mine.erased')} {counted('mine.never_erased', all)}
          </p>
          <p>
            <a href={hrefOf(site, '/mailbox')}>{words('mine.overview')}</a>
          </p>
        </section>
      ),
    });
  } catch (error) {
    if (error instanceof StillConnected) return erasePage(pages, session, ended, 'mine.erase_still');
    if (error instanceof BeingSent) return erasePage(pages, session, ended, 'mine.being_sent');
    throw error;
  }
}

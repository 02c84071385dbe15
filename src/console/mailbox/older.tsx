import type { Hono } from 'hono';
import { newId } from '../../lib/id.ts';
import type { ErrandId } from '../../lib/id.ts';
import { findConnection, findMailboxOf } from '../../store/connections.ts';
import type { PublicConnection } from '../../store/connections.ts';
import { addErrands, endErrand, findBackfill, listBackfills } from '../../store/errands.ts';
import type { PublicBackfill } from '../../store/errands.ts';
import { hrefOf, sendPart } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { Empty, Field, Form } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { Progress, Window, isOver } from './older-parts.tsx';
import { mailboxPage, notTheirs, withSession, withSessionForm } from './page.tsx';
import type { MailboxPages, UserSession } from './page.tsx';

const path = '/mailbox/older';

/** How far back one may go with one click, days. */
const spans = [7, 30, 90, 365] as const;

const dayMs = 24 * 3_600_000;

/** A day begins first in UTC+14; where the reader is, is not known here, and all of the day is wanted. */
const dayBeginsMs = -14 * 3_600_000;

/** So many earlier ones are shown. */
const shownMax = 10;

/** `/mailbox/older`: mail from before the connection, counted or synced, with its progress (C8). */
export function addOlderMail(app: Hono, pages: MailboxPages): void {
  const { db, site } = pages;
  app.get(path, (c) => withSession(c, pages, (session) => startPage(pages, session, null)));
  app.post(path, (c) =>
    withSessionForm(c, pages, async (session, form) => {
      const connection = await activeConnection(pages, session);
      if (connection === null) return startPage(pages, session, null);
      const [newest] = await listBackfills(db, connection.id, 1);
      // A second click, or a second tab: one after the other.
      if (newest !== undefined && !isOver(newest))
        return c.redirect(hrefOf(site, `${path}/${newest.id}`), 303);
      const since = sinceOf(form, pages.clock.now());
      if (typeof since === 'string') return startPage(pages, session, { form, wrong: since });
      const id = await begin(pages, connection, { since, dryRun: form.get('dry_run') === '1' });
      return c.redirect(hrefOf(site, `${path}/${id}`), 303);
    }),
  );
  app.get(`${path}/:id`, (c) =>
    withSession(c, pages, async (session) => {
      const backfill = await ownBackfill(pages, session, c.req.param('id'));
      if (backfill === null) return notTheirs();
      return mailboxPage(pages, session, {
        part: 'older',
        title: words('mine.older'),
        body: <Progress backfill={backfill} site={site} formToken={formTokenOf(pages, session)} />,
      });
    }),
  );
  app.get(`${path}/:id/progress`, (c) =>
    withSession(c, pages, async (session) => {
      const backfill = await ownBackfill(pages, session, c.req.param('id'));
      if (backfill === null) return notTheirs();
      return sendPart(
        c,
        <Progress backfill={backfill} site={site} formToken={formTokenOf(pages, session)} />,
      );
    }),
  );
  app.post(`${path}/:id/cancel`, (c) =>
    withSessionForm(c, pages, async (session) => {
      const backfill = await ownBackfill(pages, session, c.req.param('id'));
      if (backfill === null) return notTheirs();
      const ended = { id: backfill.id, state: 'cancelled', reason: null, owner: null } as const;
      if (await endErrand(db, ended)) pages.wakePublisher();
      return c.redirect(hrefOf(site, `${path}/${backfill.id}`), 303);
    }),
  );
}

/** The connection through which older mail can be read; null: none is there. */
async function activeConnection(
  { db }: MailboxPages,
  session: UserSession,
): Promise<PublicConnection | null> {
  const connection = await findConnection(db, session);
  return connection === null || connection.ended_at !== null || connection.email === null ? null : connection;
}

/** A backfill of a connection of theirs; that of anybody else is as unknown as one that is not there. */
async function ownBackfill(
  { db }: MailboxPages,
  session: UserSession,
  id: string,
): Promise<PublicBackfill | null> {
  const { subAccountId } = session;
  const backfill = await findBackfill(db, { subAccountId, id: id as ErrandId });
  const connection = await findConnection(db, session);
  return backfill !== null && backfill.connection_id === connection?.id ? backfill : null;
}

async function begin(
  pages: MailboxPages,
  connection: PublicConnection,
  { since, dryRun }: { since: number; dryRun: boolean },
): Promise<ErrandId> {
  const { db, clock } = pages;
  const mailbox = await findMailboxOf(db, connection.id);
  if (mailbox?.mailboxId == null) throw new Error(`${connection.id} has lost its mailbox`);
  const id = newId('bkf');
  const request = { since, until: clock.now(), contactId: null, dryRun };
  const { sub_account_id, id: connection_id } = connection;
  await addErrands(db, [
    { id, kind: 'backfill', sub_account_id, connection_id, mailbox_id: mailbox.mailboxId, request },
  ]);
  pages.wakeErrands();
  return id;
}

/** From when on, in ms since the epoch, or what is wrong with what was chosen. */
function sinceOf(form: URLSearchParams, now: number): number | PlainKey {
  const chosen = form.get('span') ?? '';
  if (chosen === 'exact') {
    // Of a count that is to be done: the very window.
    const since = Date.parse(form.get('since') ?? '');
    return Number.isNaN(since) || since >= now ? 'mine.older_wrong' : since;
  }
  if (chosen === 'date') {
    const day = form.get('day') ?? '';
    const since = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) + dayBeginsMs : Number.NaN;
    return Number.isNaN(since) || since < 0 || since >= now ? 'mine.older_wrong_day' : since;
  }
  const days = spans.find((span) => String(span) === chosen);
  return days === undefined ? 'mine.older_wrong' : now - days * dayMs;
}

async function startPage(
  pages: MailboxPages,
  session: UserSession,
  refused: { form: URLSearchParams; wrong: PlainKey } | null,
): Promise<Page> {
  const { db, site } = pages;
  const connection = await activeConnection(pages, session);
  const before = connection === null ? [] : await listBackfills(db, connection.id, shownMax);
  const formToken = formTokenOf(pages, session);
  const going = before.find((backfill) => !isOver(backfill));
  return mailboxPage(pages, session, {
    part: 'older',
    title: words('mine.older'),
    status: refused === null ? 200 : 422,
    body: (
      <>
        <p class="lead">{words('mine.older_lead')}</p>
        {connection === null ? (
          <Empty>
            <p>
              <strong>{words('mine.older_not_connected')}</strong>
            </p>
            <p>
              <a href={hrefOf(site, '/mailbox')}>{words('mine.older_not_connected_next')}</a>
            </p>
          </Empty>
        ) : going === undefined ? (
          <StartForm site={site} formToken={formToken} refused={refused} />
        ) : (
          <Progress backfill={going} site={site} formToken={formToken} />
        )}
        <Before site={site} backfills={before.filter(isOver)} />
      </>
    ),
  });
}

function StartForm(props: {
  site: Site;
  formToken: string;
  refused: { form: URLSearchParams; wrong: PlainKey } | null;
}) {
  const { site, formToken, refused } = props;
  const chosen = refused?.form.get('span') ?? '30';
  const isDay = refused?.wrong === 'mine.older_wrong_day';
  return (
    <Form action={hrefOf(site, path)} formToken={formToken} class="card">
      <fieldset class="options">
        <legend>{words('mine.older_since')}</legend>
        {refused !== null && !isDay && (
          <p class="outcome bad" role="alert">
            {words(refused.wrong)}
          </p>
        )}
        {([...spans, 'date'] as const).map((span) => (
          <label class="option">
            <input type="radio" name="span" value={String(span)} checked={String(span) === chosen} />
            <span>{words(`mine.older_${span}`)}</span>
          </label>
        ))}
        <div class="day">
          <Field
            name="day"
            type="date"
            label={words('mine.older_date_label')}
            value={refused?.form.get('day') ?? ''}
            wrong={isDay ? 'mine.older_wrong_day' : undefined}
          />
        </div>
      </fieldset>
      <p class="actions">
        <button name="dry_run" value="1">
          {words('mine.older_count')}
        </button>
        <button name="dry_run" value="0" class="quiet">
          {words('mine.older_start')}
        </button>
      </p>
      <p>
        <small>{words('mine.older_hint')}</small>
      </p>
    </Form>
  );
}

function Before({ site, backfills }: { site: Site; backfills: readonly PublicBackfill[] }) {
  if (backfills.length === 0) return null;
  return (
    <section class="card">
      <h2>{words('mine.older_before')}</h2>
      <ul class="mails">
        {backfills.map((backfill) => (
          <li>
            <p class="mail-who">
              <a href={hrefOf(site, `${path}/${backfill.id}`)}>
                {words(backfill.dry_run ? 'mine.older_dry' : 'mine.older_real')}
              </a>
              <span>{words(`mine.older_state_${backfill.state}`)}</span>
            </p>
            <small>
              <Window backfill={backfill} />
            </small>
          </li>
        ))}
      </ul>
    </section>
  );
}

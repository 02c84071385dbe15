import type { Context, Hono } from 'hono';
import { BeingSent, eraseNeverLogged } from '../../outbound/erasing.ts';
import {
  findNeverLog,
  isNeverLogEntry,
  listNeverLog,
  neverLogEntriesMax,
  neverLogPattern,
  putNeverLog,
} from '../../store/never-log.ts';
import { countNeverLogged } from '../../store/never-logged.ts';
import { findUserStanding, userStanding } from '../../store/users.ts';
import { Say, Value, hrefOf } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { Empty, Field, Form, Pager } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { counted, words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { mailboxPage, notTheirs, withSession, withSessionForm } from './page.tsx';
import type { MailboxPages, UserSession } from './page.tsx';

const path = '/mailbox/never-log';
const pageRows = 50;

/** `/mailbox/never-log`: whose mail is never stored, and what is stored of them already (S15). */
export function addNeverLog(app: Hono, pages: MailboxPages): void {
  const { site } = pages;
  const listed = (what: 'added' | 'removed' | 'erased', value: string) =>
    hrefOf(site, path, { [what]: value });
  app.get(path, (c) => withSession(c, pages, (session) => listPage(c, pages, session)));
  app.post(path, (c) =>
    withSessionForm(c, pages, async (session, form) => {
      const typed = form.get('entry')?.trim() ?? '';
      if (!isNeverLogEntry(typed)) return listPage(c, pages, session, { typed, wrong: 'mine.never_wrong' });
      const change = await changeList(pages, session, (entries) => [...entries, typed]);
      if (change === 'changed') return c.redirect(listed('added', typed), 303);
      const wrong = change === 'full' ? 'mine.never_full' : 'mine.never_shared';
      return listPage(c, pages, session, { typed, wrong });
    }),
  );
  app.post(`${path}/remove`, (c) =>
    withSessionForm(c, pages, async (session, form) => {
      const entry = form.get('entry') ?? '';
      const change = await changeList(pages, session, (entries) =>
        entries.filter((one) => neverLogPattern(one) !== neverLogPattern(entry)),
      );
      return change === 'changed' ? c.redirect(listed('removed', entry), 303) : notTheirs();
    }),
  );
  app.get(`${path}/erase`, (c) =>
    withSession(c, pages, (session) => erasePage(pages, session, c.req.query('entry') ?? '')),
  );
  app.post(`${path}/erase`, (c) =>
    withSessionForm(c, pages, async (session, form) => {
      const entry = await findEntry(pages, session, form.get('entry') ?? '');
      if (entry === null || (await findUserStanding(pages.db, session)) !== 'own') return notTheirs();
      try {
        const erased = await eraseNeverLogged(pages, [entry], [session]);
        return c.redirect(listed('erased', String(erased)), 303);
      } catch (error) {
        if (!(error instanceof BeingSent)) throw error;
        return erasePage(pages, session, entry, 'mine.being_sent');
      }
    }),
  );
}

/**
 * Changes the list of a person as one. `shared`: it holds in other companies, too, whose business this session is
 * not; as for the API's keys of one sub-account, whoever runs the gateway changes it.
 */
async function changeList(
  { db }: MailboxPages,
  { subAccountId, userId }: UserSession,
  to: (entries: readonly string[]) => string[],
): Promise<'changed' | 'shared' | 'full'> {
  return db.transaction(async (tx) => {
    if ((await userStanding(tx, userId, subAccountId)) !== 'own') return 'shared';
    const entries = to(await findNeverLog(tx, { userId }));
    if (entries.length > neverLogEntriesMax) return 'full';
    await putNeverLog(tx, { userId }, entries);
    return 'changed';
  });
}

/** An entry as it stands on the list; null: it does not. */
async function findEntry(
  { db }: MailboxPages,
  { userId }: UserSession,
  written: string,
): Promise<string | null> {
  const pattern = neverLogPattern(written);
  const entries = await findNeverLog(db, { userId });
  return entries.find((one) => neverLogPattern(one) === pattern) ?? null;
}

async function listPage(
  c: Context,
  pages: MailboxPages,
  session: UserSession,
  refused: { typed: string; wrong: PlainKey } | null = null,
): Promise<Page> {
  const { db, site } = pages;
  const after = c.req.query('after') ?? null;
  const entries = await listNeverLog(db, session.userId, { after, limit: pageRows + 1 });
  const isOwn = (await findUserStanding(db, session)) === 'own';
  const formToken = formTokenOf(pages, session);
  const shown = entries.slice(0, pageRows);
  const last = entries.length > pageRows ? shown.at(-1) : undefined;
  return mailboxPage(pages, session, {
    part: 'never_log',
    title: words('mine.never_log'),
    status: refused === null ? 200 : 422,
    body: (
      <>
        {refused === null && <Done c={c} added={await addedNow(c, pages, session)} site={site} />}
        <p class="lead">{words('mine.never_lead')}</p>
        {isOwn ? (
          <Form action={hrefOf(site, path)} formToken={formToken} class="filters">
            <Field
              name="entry"
              label={words('mine.never_entry')}
              hint={words('mine.never_hint')}
              value={refused?.typed ?? ''}
              wrong={refused?.wrong}
              autocomplete="off"
              inputmode="email"
            />
            <button>{words('mine.never_add')}</button>
          </Form>
        ) : (
          <p class="outcome still">{words('mine.never_shared')}</p>
        )}
        {shown.length === 0 ? (
          <Empty>
            <p>
              <strong>{words('mine.never_none')}</strong>
            </p>
            {isOwn && <p>{words('mine.never_none_next')}</p>}
          </Empty>
        ) : (
          <section class="card">
            <h2>{words('mine.never_list')}</h2>
            <ul class="mails">
              {shown.map((entry) => (
                <Entry entry={entry} site={site} formToken={isOwn ? formToken : null} />
              ))}
            </ul>
          </section>
        )}
        <Pager
          first={after === null ? null : hrefOf(site, path)}
          next={last === undefined ? null : hrefOf(site, path, { after: last })}
        />
      </>
    ),
  });
}

function Entry(props: { entry: string; site: Site; formToken: string | null }) {
  const { entry, site, formToken } = props;
  return (
    <li class="choice-line">
      <span>
        <Value of={entry} />
      </span>
      {formToken !== null && (
        <Form action={hrefOf(site, `${path}/remove`)} formToken={formToken}>
          <input type="hidden" name="entry" value={entry} />
          <button class="quiet small" aria-label={words('mine.never_remove_of', { entry })}>
            {words('mine.never_remove')}
          </button>
        </Form>
      )}
    </li>
  );
}

type Added = { entry: string; stored: number };

/** What was put on the list a moment ago, with what is stored of it; null: nothing was. */
async function addedNow(c: Context, pages: MailboxPages, session: UserSession): Promise<Added | null> {
  const written = c.req.query('added');
  const entry = written === undefined ? null : await findEntry(pages, session, written);
  return entry === null ? null : { entry, stored: await countStored(pages, session, entry) };
}

async function countStored({ db }: MailboxPages, session: UserSession, entry: string): Promise<number> {
  const counts = await countNeverLogged(db, [entry], [session]);
  return counts.get(neverLogPattern(entry)) ?? 0;
}

/** What the change before has come to. */
function Done({ c, added, site }: { c: Context; added: Added | null; site: Site }) {
  const removed = c.req.query('removed');
  const erased = c.req.query('erased');
  if (added !== null) {
    const { entry, stored } = added;
    const erase = hrefOf(site, `${path}/erase`, { entry });
    return (
      <div class="outcome good" role="status">
        <p>
          <Say text="mine.never_added" with={{ entry }} />
        </p>
        <p>{stored === 0 ? words('mine.never_added_clean') : counted('mine.never_stored', stored)}</p>
        {stored > 0 && (
          <p>
            <a href={erase}>{words('mine.never_erase')}</a>
          </p>
        )}
      </div>
    );
  }
  if (removed === undefined && !/^\d{1,9}$/.test(erased ?? '')) return null;
  return (
    <p class="outcome good" role="status">
      {removed === undefined ? (
        counted('mine.never_erased', Number(erased))
      ) : (
        <Say text="mine.never_removed" with={{ entry: removed }} />
      )}
    </p>
  );
}

async function erasePage(
  pages: MailboxPages,
  session: UserSession,
  written: string,
  trouble: PlainKey | null = null,
): Promise<Page> {
  const { site } = pages;
  const entry = await findEntry(pages, session, written);
  if (entry === null) return notTheirs();
  const stored = await countStored(pages, session, entry);
  return mailboxPage(pages, session, {
    part: 'never_log',
    title: words('mine.never_erase_title', { entry }),
    status: trouble === null ? 200 : 409,
    body: (
      <section class="card">
        {trouble !== null && (
          <p class="outcome bad" role="alert">
            {words(trouble)}
          </p>
        )}
        <p>{counted('mine.never_erase_text', stored)}</p>
        <p>{words('mine.never_erase_rest')}</p>
        <Form action={hrefOf(site, `${path}/erase`)} formToken={formTokenOf(pages, session)}>
          <input type="hidden" name="entry" value={entry} />
          <p class="actions">
            <button class="danger">{words('mine.erase_yes')}</button>
            <a class="button quiet" href={hrefOf(site, path)}>
              {words('mine.keep')}
            </a>
          </p>
        </Form>
      </section>
    ),
  });
}

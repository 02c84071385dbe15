import type { Context, Hono } from 'hono';
import { hashOfAddress } from '../../filing/hashes.ts';
import { validAddress } from '../../message/addresses.ts';
import { findConnection } from '../../store/connections.ts';
import { listLeftOut, listOwnDecisionsWith, listOwnMessages } from '../../store/own-mail.ts';
import { Say, hrefOf } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { Empty, Field, Pager } from '../parts.tsx';
import { words } from '../texts/texts.ts';
import { mailboxPage, withSession } from './page.tsx';
import type { MailboxPages, UserSession } from './page.tsx';
import { DecisionList, MessageList } from './mail-parts.tsx';

const path = '/mailbox/mail';

/** How many rows a page shows. */
const pageRows = 25;

/** `/mailbox/mail`: what was synced lately, what was left out, and why (T1). */
export function addMail(app: Hono, pages: MailboxPages): void {
  app.get(path, (c) =>
    withSession(c, pages, (session) => {
      const address = c.req.query('address')?.trim();
      if (address !== undefined && address !== '') return foundPage(c, pages, session, address);
      return c.req.query('show') === 'left_out'
        ? leftOutPage(c, pages, session)
        : syncedPage(c, pages, session);
    }),
  );
}

async function syncedPage(c: Context, pages: MailboxPages, session: UserSession): Promise<Page> {
  const { db, site } = pages;
  const connectionId = (await findConnection(db, session))?.id ?? null;
  const after = c.req.query('after') ?? null;
  const found = await listOwnMessages(db, { ...session, connectionId }, { after, limit: pageRows + 1 });
  return mailPage(
    pages,
    session,
    <>
      <Kinds site={site} shown="synced" />
      {found.length === 0 ? (
        <Empty>
          <p>
            <strong>{words('mine.synced_none')}</strong>
          </p>
          <p>
            {words('mine.synced_none_next')}{' '}
            <a href={hrefOf(site, '/mailbox/older')}>{words('mine.synced_none_older')}</a>
          </p>
        </Empty>
      ) : (
        <section class="card">
          <MessageList messages={found.slice(0, pageRows)} site={site} />
        </section>
      )}
      <Pages site={site} query={{}} after={after} found={found} />
    </>,
  );
}

async function leftOutPage(c: Context, pages: MailboxPages, session: UserSession): Promise<Page> {
  const { db, site } = pages;
  const connectionId = (await findConnection(db, session))?.id ?? null;
  const after = c.req.query('after') ?? null;
  const found = await listLeftOut(db, { ...session, connectionId }, { after, limit: pageRows + 1 });
  return mailPage(
    pages,
    session,
    <>
      <Kinds site={site} shown="left_out" />
      <p class="lead">{words('mine.left_out_text')}</p>
      <Find site={site} address="" />
      {found.length === 0 ? (
        <Empty>
          <p>{words('mine.left_out_none')}</p>
        </Empty>
      ) : (
        <section class="card">
          <DecisionList decisions={found.slice(0, pageRows)} site={site} />
        </section>
      )}
      <Pages site={site} query={{ show: 'left_out' }} after={after} found={found} />
    </>,
  );
}

/** What was decided about mail with one address, whatever it came to. */
async function foundPage(
  c: Context,
  pages: MailboxPages,
  session: UserSession,
  address: string,
): Promise<Page> {
  const { db, site, secretBox } = pages;
  if (!validAddress(address)) {
    const find = <Find site={site} address={address} wrong />;
    return { ...(await mailPage(pages, session, find)), status: 422 };
  }
  const after = c.req.query('after') ?? null;
  const of = { ...session, addressHash: hashOfAddress(secretBox, address) };
  const found = await listOwnDecisionsWith(db, of, { after, limit: pageRows + 1 });
  return mailPage(
    pages,
    session,
    <>
      <Find site={site} address={address} />
      <section class="card">
        <h2>
          <Say text="mine.found" with={{ address }} />
        </h2>
        {found.length === 0 ? (
          <>
            <p>{words('mine.found_none')}</p>
            <p>{words('mine.found_none_next')}</p>
          </>
        ) : (
          <DecisionList decisions={found.slice(0, pageRows)} site={site} />
        )}
      </section>
      <Pages site={site} query={{ address }} after={after} found={found} />
      <p>
        <a href={hrefOf(site, path)}>{words('mine.found_back')}</a>
      </p>
    </>,
  );
}

function mailPage(pages: MailboxPages, session: UserSession, body: Page['body']): Promise<Page> {
  return mailboxPage(pages, session, { part: 'mail', title: words('mine.mail'), body });
}

/** The two lists to choose from. */
function Kinds({ site, shown }: { site: Site; shown: 'synced' | 'left_out' }) {
  const link = (kind: typeof shown, query: Record<string, string>) => (
    <a href={hrefOf(site, path, query)} aria-current={kind === shown ? 'page' : undefined}>
      {words(`mine.${kind}`)}
    </a>
  );
  return (
    <nav class="kinds" aria-label={words('mine.kinds')}>
      {link('synced', {})}
      {link('left_out', { show: 'left_out' })}
    </nav>
  );
}

function Find({ site, address, wrong = false }: { site: Site; address: string; wrong?: boolean }) {
  return (
    <form method="get" action={hrefOf(site, path)} class="filters">
      <Field
        name="address"
        label={words('mine.find')}
        value={address}
        type="text"
        inputmode="email"
        autocomplete="off"
        hint={words('mine.find_hint')}
        wrong={wrong ? 'mine.find_wrong' : undefined}
      />
      <button class="quiet">{words('page.search')}</button>
    </form>
  );
}

function Pages(props: {
  site: Site;
  query: Record<string, string>;
  after: string | null;
  found: readonly { id: string }[];
}) {
  const { site, query, after, found } = props;
  const last = found.length > pageRows ? found[pageRows - 1] : undefined;
  return (
    <Pager
      first={after === null ? null : hrefOf(site, path, query)}
      next={last === undefined ? null : hrefOf(site, path, { ...query, after: last.id })}
    />
  );
}

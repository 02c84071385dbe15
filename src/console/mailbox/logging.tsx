import type { Hono } from 'hono';
import { loggingVcard } from '../../intake/log-address.ts';
import {
  findLoggingAddresses,
  overlapDaysDefault,
  replaceLoggingAddress,
} from '../../store/logging-addresses.ts';
import type { LoggingAddresses } from '../../store/logging-addresses.ts';
import { findSubAccount } from '../../store/sub-accounts.ts';
import { Say, Value, hrefOf } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { Copyable, Empty, Form, SayAt } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { words } from '../texts/texts.ts';
import { mailboxPage, notTheirs, withSession, withSessionForm } from './page.tsx';
import type { MailboxPages, UserSession } from './page.tsx';

const path = '/mailbox/logging-address';

/** How long a replaced address may go on to count, days. */
const overlaps = [overlapDaysDefault, 7, 0] as const;

/** `/mailbox/logging-address`: the person's logging address, as a card, and another one (B1). */
export function addLoggingAddress(app: Hono, pages: MailboxPages): void {
  const { db, site, loggingDomain } = pages;
  app.get(path, (c) =>
    withSession(c, pages, async (session) => {
      const found = await findLoggingAddresses(db, session);
      if (loggingDomain === null || found === null) return offPage(pages, session);
      return mailboxPage(pages, session, {
        part: 'logging',
        title: words('mine.logging'),
        body: (
          <Address
            found={found}
            domain={loggingDomain}
            site={site}
            isNew={c.req.query('replaced') !== undefined}
          />
        ),
      });
    }),
  );
  app.get(`${path}.vcf`, (c) =>
    withSession(c, pages, async (session) => {
      const found = await findLoggingAddresses(db, session);
      if (loggingDomain === null || found === null) return notTheirs();
      const subAccount = await findSubAccount(db, session.subAccountId);
      const card = { address: `${found.localPart}@${loggingDomain}`, subAccount: subAccount?.name ?? '' };
      return c.body(loggingVcard(card), 200, {
        'Content-Type': 'text/vcard; charset=utf-8',
        'Content-Disposition': 'attachment; filename="crm-log.vcf"',
      });
    }),
  );
  addReplacing(app, pages);
}

function addReplacing(app: Hono, pages: MailboxPages): void {
  const { db, site, loggingDomain } = pages;
  app.get(`${path}/replace`, (c) =>
    withSession(c, pages, async (session) => {
      const found = await findLoggingAddresses(db, session);
      if (loggingDomain === null || found === null) return offPage(pages, session);
      return mailboxPage(pages, session, {
        part: 'logging',
        title: words('mine.replace_title'),
        body: (
          <section class="card">
            <p>{words('mine.replace_new')}</p>
            <p>
              <Say text="mine.replace_old" with={{ address: `${found.localPart}@${loggingDomain}` }} />
            </p>
            <Form action={hrefOf(site, `${path}/replace`)} formToken={formTokenOf(pages, session)}>
              <fieldset class="options">
                <legend>{words('mine.replace_overlap')}</legend>
                {overlaps.map((days) => (
                  <Overlap days={days} />
                ))}
              </fieldset>
              <p class="actions">
                <button>{words('mine.logging_replace')}</button>
                <a class="button quiet" href={hrefOf(site, path)}>
                  {words('page.cancel_plain')}
                </a>
              </p>
            </Form>
          </section>
        ),
      });
    }),
  );
  app.post(`${path}/replace`, (c) =>
    withSessionForm(c, pages, async (session, form) => {
      const overlapDays = overlaps.find((days) => String(days) === form.get('overlap'));
      if (loggingDomain === null || overlapDays === undefined) return notTheirs();
      const isReplaced = await db.transaction((tx) => replaceLoggingAddress(tx, session, overlapDays));
      return isReplaced ? c.redirect(hrefOf(site, `${path}?replaced`), 303) : notTheirs();
    }),
  );
}

function Overlap({ days }: { days: (typeof overlaps)[number] }) {
  const hint = days === 0 || days === 30 ? words(`mine.replace_${days}_hint`) : null;
  return (
    <label class="option">
      <input type="radio" name="overlap" value={String(days)} checked={days === overlapDaysDefault} />
      <span>
        {words(`mine.replace_${days}`)}
        {hint !== null && <small>{hint}</small>}
      </span>
    </label>
  );
}

function offPage(pages: MailboxPages, session: UserSession): Promise<Page> {
  return mailboxPage(pages, session, {
    part: 'logging',
    title: words('mine.logging'),
    body: (
      <Empty>
        <p>
          <strong>{words('mine.logging_off')}</strong>
        </p>
        <p>{words('mine.logging_off_next')}</p>
      </Empty>
    ),
  });
}

function Address(props: { found: LoggingAddresses; domain: string; site: Site; isNew: boolean }) {
  const { found, domain, site, isNew } = props;
  return (
    <>
      {isNew && (
        <p class="outcome good" role="status">
          {words('mine.logging_replaced')}
        </p>
      )}
      <section class="card">
        <p>{words('mine.logging_lead')}</p>
        <p>
          <Copyable text={`${found.localPart}@${domain}`} />
        </p>
        <small>
          <SayAt text="mine.logging_since" with={{ time: found.createdAt }} />
        </small>
        <p class="actions">
          <a class="button quiet" href={hrefOf(site, `${path}.vcf`)} download="crm-log.vcf">
            {words('mine.logging_card')}
          </a>
          <small>{words('mine.logging_card_hint')}</small>
        </p>
      </section>
      <section class="card">
        <h2>{words('mine.logging_use')}</h2>
        <ul>
          <li>{words('mine.logging_bcc')}</li>
          <li>{words('mine.logging_forward')}</li>
          <li>{words('mine.logging_only_you')}</li>
        </ul>
      </section>
      {found.replaced.length > 0 && (
        <section class="card">
          <h2>{words('mine.logging_before')}</h2>
          <ul class="mails">
            {found.replaced.map(({ localPart, expiresAt }) => (
              <li>
                <Value of={`${localPart}@${domain}`} />
                <small>
                  <SayAt text="mine.logging_until" with={{ time: expiresAt }} />
                </small>
              </li>
            ))}
          </ul>
        </section>
      )}
      <section class="card">
        <div class="choice-line">
          <p>{words('mine.logging_replace_text')}</p>
          <a class="button quiet" href={hrefOf(site, `${path}/replace`)}>
            {words('mine.logging_replace')}
          </a>
        </div>
      </section>
    </>
  );
}

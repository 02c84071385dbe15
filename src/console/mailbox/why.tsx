import type { Hono } from 'hono';
import { askAgain, notAskedFor } from '../../filing/ask-again.ts';
import type { NotAsked } from '../../filing/ask-again.ts';
import { explain } from '../../filing/history.ts';
import type { Explained } from '../../filing/history.ts';
import type { DecisionId, MessageId } from '../../lib/id.ts';
import { findDecidedPlace } from '../../store/judged-again.ts';
import { findOwnDecision, findOwnMessage } from '../../store/own-mail.ts';
import type { OwnDecision, OwnMessage } from '../../store/own-mail.ts';
import { Pieces, Say, Value, hrefOf } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { Form, SayAt, Time } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { findText, words } from '../texts/texts.ts';
import { mailboxPage, notTheirs, withSession, withSessionForm } from './page.tsx';
import type { MailboxPages } from './page.tsx';
import { OutcomeBadge, Reason, Subject, Who, wayOf } from './mail-parts.tsx';

/** `/mailbox/mail/…`: why a message is here, or is not, as a chain that can be read (T1). */
export function addWhy(app: Hono, pages: MailboxPages): void {
  const { db, site } = pages;
  app.get('/mailbox/mail/message/:id', (c) =>
    withSession(c, pages, async (session) => {
      const found = await findOwnMessage(db, { ...session, id: c.req.param('id') as MessageId });
      if (found === null) return notTheirs();
      const told = await explain(db, session.subAccountId, found.message.id);
      return mailboxPage(pages, session, {
        part: 'mail',
        title: words('mine.why_title'),
        list: listOf(site, 'synced'),
        body: (
          <>
            <MessageCard message={found.message} told={told} />
            {found.decisions.map((decision) => (
              <DecisionCard decision={decision} site={site} />
            ))}
          </>
        ),
      });
    }),
  );
  app.get('/mailbox/mail/decision/:id', (c) =>
    withSession(c, pages, async (session) => {
      const decision = await findOwnDecision(db, { ...session, id: c.req.param('id') as DecisionId });
      if (decision === null) return notTheirs();
      const asked = c.req.query('asked') !== undefined;
      if (asked && decision.replaced_by !== null)
        return c.redirect(hrefOf(site, `/mailbox/mail/decision/${decision.replaced_by}`), 303);
      const { message } = decision;
      const isHere = decision.outcome === 'stored';
      if (isHere && message !== null)
        return c.redirect(hrefOf(site, `/mailbox/mail/message/${message.id}`), 303);
      return mailboxPage(pages, session, {
        part: 'mail',
        title: words(isHere ? 'mine.why_title' : 'mine.why_not_title'),
        list: listOf(site, isHere ? 'synced' : 'left_out'),
        body: (
          <>
            {asked && <Asked site={site} id={decision.id} />}
            <DecisionCard decision={decision} site={site} />
            {!asked && <Store decision={decision} site={site} formToken={formTokenOf(pages, session)} />}
          </>
        ),
      });
    }),
  );
  addStoring(app, pages);
}

function addStoring(app: Hono, pages: MailboxPages): void {
  const { db, site } = pages;
  app.post('/mailbox/mail/decision/:id/store', (c) =>
    withSessionForm(c, pages, async (session) => {
      const id = c.req.param('id') as DecisionId;
      const decision = await findOwnDecision(db, { ...session, id });
      const place = await findDecidedPlace(db, { subAccountId: session.subAccountId, id });
      if (decision === null || place === null) return notTheirs();
      const answer = await askAgain(pages, session.subAccountId, place);
      if (answer === 'asked') return c.redirect(hrefOf(site, `/mailbox/mail/decision/${id}?asked`), 303);
      return mailboxPage(pages, session, {
        part: 'mail',
        title: words('mine.why_not_title'),
        list: listOf(site, 'left_out'),
        status: 409,
        body: (
          <>
            <p class="outcome still" role="alert">
              {words(notAsked[answer])}
            </p>
            <DecisionCard decision={decision} site={site} />
          </>
        ),
      });
    }),
  );
}

const notAsked = {
  already_decided: 'mine.store_already',
  not_connected: 'mine.store_not_connected',
  not_kept: 'mine.store_not_kept',
} as const satisfies Record<NotAsked, string>;

function listOf(site: Site, show: 'synced' | 'left_out'): NonNullable<Page['list']> {
  return {
    href: hrefOf(site, '/mailbox/mail', show === 'left_out' ? { show } : {}),
    label: words(`mine.${show}`),
  };
}

function MessageCard({ message, told }: { message: OwnMessage; told: Explained | null }) {
  const first = told?.history.events[0]?.created_at ?? null;
  return (
    <section class="card">
      <h2>
        <Subject of={message.subject} />
      </h2>
      <dl class="facts">
        <dt>{words('mine.from')}</dt>
        <dd>
          <Value of={message.from.address} />
        </dd>
        <dt>{words('mine.to')}</dt>
        <dd>
          <Value of={message.to.map(({ address }) => address).join(', ')} />
        </dd>
        <dt>{words('mine.time')}</dt>
        <dd>
          <Time at={message.date} />
        </dd>
        <dt>{words('mine.way')}</dt>
        <dd>{wayOf(message)}</dd>
        <dt>{words('mine.shows_with')}</dt>
        <dd>
          <Who message={message} />
        </dd>
        {told?.send != null && (
          <>
            <dt>{words('mine.sending')}</dt>
            <dd>{words(`mine.send_${told.send.state}`)}</dd>
          </>
        )}
        {told?.thread != null && (
          <>
            <dt>{words('mine.thread')}</dt>
            <dd>
              <Pieces of={threadText(told.thread)} />
            </dd>
          </>
        )}
        <dt>{words('mine.told')}</dt>
        <dd>
          {first === null ? words('mine.told_not') : <SayAt text="mine.told_at" with={{ time: first }} />}
        </dd>
      </dl>
    </section>
  );
}

function threadText({ state, reason }: NonNullable<Explained['thread']>) {
  const named =
    state === 'live' ? findText('mine.thread_live') : findText(`mine.thread_${reason ?? 'unlinked'}`);
  return named ?? findText('mine.thread_unlinked') ?? [];
}

/** A decision, where it was made, and the questions that led to it. */
function DecisionCard({ decision, site }: { decision: OwnDecision; site: Site }) {
  const { place, message } = decision;
  const subject = message?.subject ?? decision.held?.subject ?? null;
  const folder = place?.folder;
  return (
    <section class="card">
      <p class="mail-who">
        <OutcomeBadge outcome={decision.outcome} />
        <Time at={decision.decided_at} />
      </p>
      {decision.outcome !== 'stored' && subject !== null && (
        <h2>
          <Subject of={subject} />
        </h2>
      )}
      <p>
        <Reason of={decision.reason} />
      </p>
      {folder != null && (
        <p>
          <Say text="mine.seen_in" with={{ folder }} />
        </p>
      )}
      {decision.intake_id !== null && <p>{words('mine.seen_logging')}</p>}
      {decision.errand_id !== null && <p>{words('mine.seen_again')}</p>}
      {decision.replaced_by !== null && (
        <p class="outcome still">
          {words('mine.replaced')}{' '}
          <a href={hrefOf(site, `/mailbox/mail/decision/${decision.replaced_by}`)}>
            {words('mine.replaced_by')}
          </a>
        </p>
      )}
      {decision.erased_at !== null && (
        <p>
          <SayAt text="mine.erased_at" with={{ time: decision.erased_at }} />
        </p>
      )}
      {decision.outcome === 'skipped' && message === null && (
        <p>
          <small>{words('mine.kept_nothing')}</small>
        </p>
      )}
      {decision.outcome === 'held' && <p>{words('mine.kept_held')}</p>}
      <Chain decision={decision} />
    </section>
  );
}

/** The rules as questions, in the order in which they were asked; the last one answered. */
function Chain({ decision: { steps, reason } }: { decision: OwnDecision }) {
  const asked = steps.slice(0, -1).flatMap(({ rule, because }) => {
    const question = findText(`mine.step.${rule}`);
    return question === null ? [] : [{ question, isSo: because !== null }];
  });
  if (asked.length === 0) return null;
  return (
    <details>
      <summary>{words('mine.chain')}</summary>
      <ol class="chain">
        {asked.map(({ question, isSo }) => (
          <li>
            <Pieces of={question} /> <strong>{words(isSo ? 'mine.chain_yes' : 'mine.chain_no')}</strong>
          </li>
        ))}
        <li>
          <strong>{words('mine.chain_therefore')}:</strong> <Reason of={reason} />
        </li>
      </ol>
    </details>
  );
}

function Asked({ site, id }: { site: Site; id: DecisionId }) {
  return (
    <div class="outcome good" role="status">
      <p>{words('mine.store_asked')}</p>
      <p>
        {words('mine.store_asked_next')}{' '}
        <a href={hrefOf(site, `/mailbox/mail/decision/${id}?asked`)}>{words('mine.reload')}</a>
      </p>
    </div>
  );
}

/** What is not stored however often somebody asks for it. */
const neverByHand: readonly string[] = ['draft', 'spam_or_trash', 'counterpart_is_user', 'never_log'];

/** A button that has the mail looked at once more, where that can come to anything. */
function Store({ decision, site, formToken }: { decision: OwnDecision; site: Site; formToken: string }) {
  const { id, outcome, reason } = decision;
  const refused = notAskedFor({
    outcome,
    reason,
    replacedBy: decision.replaced_by,
    intakeId: decision.intake_id,
    connectionId: decision.connection_id,
    folderId: decision.place?.folder_id ?? null,
    isActive: decision.is_connected,
  });
  if (refused !== null || (outcome === 'skipped' && neverByHand.includes(reason))) return null;
  const text =
    outcome === 'failed' ? 'mine.store_retry' : reason === 'no_match' ? 'mine.store_look' : 'mine.store';
  return (
    <section class="card">
      <Form
        action={hrefOf(site, `/mailbox/mail/decision/${id}/store`)}
        formToken={formToken}
        class="choice-line"
      >
        <p>{words(`${text}_text`)}</p>
        <button class="quiet">{words(text)}</button>
      </Form>
    </section>
  );
}

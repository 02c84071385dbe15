import type { Explained } from '../../../filing/history.ts';
import type { MessageHistory } from '../../../store/decisions.ts';
import type { PublicThread } from '../../../store/public-conversation.ts';
import type { PublicSend } from '../../../store/public-send.ts';
import { hrefOf, Value } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Badge, Empty, Time } from '../../parts.tsx';
import { counted, findText, words } from '../../texts/texts.ts';
import { ReasonInFull, SendStateBadge, textOf } from '../work/send-words.tsx';
import { Decision, reasonWords } from './decision.tsx';
import type { FactsOf } from './decision.tsx';
import { Fact } from './list.tsx';

/** The whole story of a stored message (T1): where it was seen, what was decided, and what followed. */
export function Story(props: { site: Site; subAccountId: string; explained: Explained; facts: FactsOf }) {
  const { site, explained, facts } = props;
  const { history, thread, send } = explained;
  return (
    <>
      <dl class="facts whose">
        <Fact name={words('why.message')}>
          <code>{explained.message_id}</code>
        </Fact>
        <Fact name={words('conn.sub_account')}>
          <Value of={props.subAccountId} />
        </Fact>
        {history.keys.length > 0 && (
          <Fact name={words('why.names')}>
            {history.keys.map((key) => (
              <div>
                <code>{key}</code>
              </div>
            ))}
          </Fact>
        )}
      </dl>
      <Seen sightings={history.sightings} />
      <section aria-labelledby="decided">
        <h2 id="decided">{words('why.decided')}</h2>
        {history.decisions.length === 0 && (
          <Empty>
            <p>{words('why.no_decision')}</p>
          </Empty>
        )}
        {history.decisions.map((decision) => (
          <Decision site={site} decision={decision} facts={facts} />
        ))}
      </section>
      {thread === null ? (
        <p class="outcome still">{words('why.story_erased')}</p>
      ) : (
        <Thread site={site} thread={thread} />
      )}
      {send !== null && <Send send={send} />}
      <Events events={history.events} />
    </>
  );
}

function Seen({ sightings }: { sightings: MessageHistory['sightings'] }) {
  if (sightings.length === 0) return null;
  return (
    <section aria-labelledby="seen">
      <h2 id="seen">{words('why.seen')}</h2>
      <ul class="steps">
        {sightings.map(({ mailbox, folder, uid, uid_validity, seen_at, gone_at }) => (
          <li>
            <Time at={seen_at} />
            <span>
              <Value of={mailbox} /> · <Value of={folder} />, UID {uid} ({words('why.validity')}{' '}
              {uid_validity})
              {gone_at !== null && (
                <>
                  {' '}
                  · {words('why.gone')} <Time at={gone_at} />
                </>
              )}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Thread({ site, thread }: { site: Site; thread: PublicThread }) {
  return (
    <section aria-labelledby="thread">
      <h2 id="thread">{words('why.thread')}</h2>
      <dl class="facts card">
        <Fact name={words('why.thread_subject')}>
          <Value of={thread.subject === '' ? words('conv.no_subject') : thread.subject} />
        </Fact>
        <Fact name={words('why.opened_by')}>{reasonWords(thread.opened_by)}</Fact>
        <Fact name={words('conn.state')}>
          <Badge tone={thread.state === 'live' ? 'good' : 'plain'}>
            {words(`why.thread.${thread.state}`)}
          </Badge>{' '}
          {thread.reason !== null &&
            (findText(`why.unlinked.${thread.reason}`)
              ?.map(({ text }) => text)
              .join('') ??
              thread.reason)}
        </Fact>
        {thread.mailbox !== null && (
          <Fact name={words('conn.mailbox')}>
            <Value of={thread.mailbox.address} />
          </Fact>
        )}
        <Fact name={words('why.shows_in')}>
          {thread.conversation_ids.length === 0 && words('page.none')}
          {thread.conversation_ids.map((id) => (
            <div>
              <a href={hrefOf(site, `/admin/conversations/${id}`)}>{id}</a>
            </div>
          ))}
        </Fact>
      </dl>
    </section>
  );
}

function Send({ send }: { send: PublicSend }) {
  return (
    <section aria-labelledby="send">
      <h2 id="send">{words('why.send')}</h2>
      <dl class="facts card">
        <Fact name={words('conn.state')}>
          <SendStateBadge state={send.state} /> · <Time at={send.state_since} />
          <ReasonInFull reason={send.reason} />
        </Fact>
        <Fact name={words('why.way')}>
          {words(`why.way.${send.route.through}`)}, <Value of={send.route.from} /> (
          {words(`send_row.${send.route.row}`)})
        </Fact>
        <Fact name={words('why.copy')}>{words(send.copy_seen ? 'page.yes' : 'page.no')}</Fact>
      </dl>
      <ul class="steps">
        {send.attempts.map(({ n, started_at, outcome, reply }) => (
          <li>
            <Time at={started_at} />
            <span>
              {words('why.attempt', { n: String(n) })} {textOf(`attempt.${outcome ?? 'none'}`) ?? outcome}
              {reply !== null && <q>{reply}</q>}
            </span>
          </li>
        ))}
        {send.reports.map(({ at, address, action, words: said }) => (
          <li>
            <Time at={at} />
            <span>
              {words('why.reported')} {textOf(`report.${action}`) ?? action} · <Value of={address} />
              {said !== null && <q>{said}</q>}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What the CRM was told, and how that went. */
function Events({ events }: { events: MessageHistory['events'] }) {
  return (
    <section aria-labelledby="told">
      <h2 id="told">{words('why.told')}</h2>
      {events.length === 0 && (
        <Empty>
          <p>{words('why.not_told')}</p>
        </Empty>
      )}
      <ul class="steps">
        {events.map(({ id, type, sequence, created_at, deliveries }) => (
          <li>
            <Time at={created_at} />
            <div>
              <code>{type}</code>{' '}
              <span class="soft">
                {sequence === null
                  ? words('why.not_published')
                  : words('why.event', { id, sequence: String(sequence) })}
              </span>
              {deliveries.map((delivery) => (
                <p>
                  {words(`why.delivery.${delivery.state as 'pending' | 'delivered' | 'parked'}`)}{' '}
                  {counted('why.tries', delivery.attempts)}{' '}
                  <span class="soft">
                    {delivery.last_error ??
                      (delivery.last_status === null
                        ? ''
                        : words('why.answered', { status: String(delivery.last_status) }))}
                  </span>
                </p>
              ))}
              {deliveries.length === 0 && sequence !== null && <p class="soft">{words('why.no_webhook')}</p>}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

import type { OwnDecision, OwnMessage } from '../../store/own-mail.ts';
import { Pieces, Say, Value, hrefOf } from '../page.tsx';
import type { Site } from '../page.tsx';
import { Badge, Time } from '../parts.tsx';
import type { Tone } from '../parts.tsx';
import { findText, words } from '../texts/texts.ts';

/* How the lists of a person's own mail look. */

/** Messages that are stored, each with the way to why. */
export function MessageList({ messages, site }: { messages: readonly OwnMessage[]; site: Site }) {
  return (
    <ul class="mails">
      {messages.map((message) => (
        <li>
          <p class="mail-who">
            <strong>
              <Who message={message} />
            </strong>
            <Time at={message.date} short />
          </p>
          <p>
            <Subject of={message.subject} />
            {message.omitted !== null && <Badge tone="still">{words('mine.header_only')}</Badge>}
            <SendBadge state={message.send} />
          </p>
          <p class="mail-how">
            <small>{wayOf(message)}</small>
            <Why site={site} path={`/mailbox/mail/message/${message.id}`} subject={message.subject} />
          </p>
        </li>
      ))}
    </ul>
  );
}

/** Of what the CRM sent, where that is not simply gone. */
function SendBadge({ state }: { state: OwnMessage['send'] }) {
  if (state === null || state === 'sent') return null;
  const tone = state === 'failed' || state === 'bounced' ? 'bad' : state === 'cancelled' ? 'plain' : 'still';
  return <Badge tone={tone}>{words(`mine.send_${state}`)}</Badge>;
}

/** Decisions about mail, each with its reason; the subject only where it is stored. */
export function DecisionList({ decisions, site }: { decisions: readonly OwnDecision[]; site: Site }) {
  return (
    <ul class="mails">
      {decisions.map((decision) => {
        const subject = decision.message?.subject ?? decision.held?.subject ?? null;
        return (
          <li>
            <p class="mail-who">
              <OutcomeBadge outcome={decision.outcome} />
              <Time at={decision.decided_at} short />
            </p>
            {subject !== null && (
              <p>
                <Subject of={subject} />
              </p>
            )}
            <p>
              <Reason of={decision.reason} />
            </p>
            <p class="mail-how">
              <small>
                <Seen decision={decision} />
              </small>
              <Why
                site={site}
                path={`/mailbox/mail/decision/${decision.id}`}
                subject={subject ?? reasonText(decision.reason)}
              />
            </p>
          </li>
        );
      })}
    </ul>
  );
}

function Why({ site, path, subject }: { site: Site; path: string; subject: string }) {
  return (
    <a href={hrefOf(site, path)} aria-label={words('mine.why_of', { subject })}>
      {words('mine.why')}
    </a>
  );
}

const outcomeTones: Readonly<Record<OwnDecision['outcome'], Tone>> = {
  stored: 'good',
  skipped: 'plain',
  held: 'still',
  failed: 'bad',
};

export function OutcomeBadge({ outcome }: { outcome: OwnDecision['outcome'] }) {
  return <Badge tone={outcomeTones[outcome]}>{words(`mine.outcome_${outcome}`)}</Badge>;
}

/** A reason code in words for the person. */
export function Reason({ of: reason }: { of: string }) {
  return <Pieces of={findText(`mine.reason.${reason}`) ?? [{ text: reason, isValue: true }]} />;
}

function reasonText(reason: string): string {
  return (findText(`mine.reason.${reason}`) ?? []).map(({ text }) => text).join('');
}

/** Where it was seen. */
function Seen({ decision: { place, intake_id: intakeId } }: { decision: OwnDecision }) {
  if (intakeId !== null) return <>{words('mine.at_logging')}</>;
  const folder = place?.folder;
  return folder == null ? null : <Say text="mine.in_folder" with={{ folder }} />;
}

export function Subject({ of: subject }: { of: string }) {
  return subject.trim() === '' ? <>{words('mine.no_subject')}</> : <Value of={subject} />;
}

/** With whom it is: the contacts by name, else by address. */
export function Who({
  message,
}: {
  message: Pick<OwnMessage, 'direction' | 'from' | 'to'> & { contacts?: string[] };
}) {
  const names = (message.contacts ?? []).filter((name) => name.trim() !== '');
  if (names.length > 0) return <Value of={names.join(', ')} />;
  const people = message.direction === 'inbound' ? [message.from] : message.to;
  return <Value of={people.map(({ address }) => address).join(', ')} />;
}

/** In which direction, and on which ways. */
export function wayOf({ direction, via, send }: Pick<OwnMessage, 'direction' | 'via' | 'send'>): string {
  const ways = via.map((way) => words(`mine.via_${way}`)).join(', ');
  // What waits, or came to nothing, was not sent.
  if (send !== null && send !== 'sent' && send !== 'bounced') return ways;
  return `${words(direction === 'inbound' ? 'mine.received' : 'mine.sent')} ${ways}`;
}

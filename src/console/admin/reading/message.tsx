import type { MessageHead, PublicAddress, PublicAttachment } from '../../../store/public-message.ts';
import { hrefOf, Value } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Badge, Time } from '../../parts.tsx';
import { findText, number, words } from '../../texts/texts.ts';
import { ReasonInShort, SendStateBadge } from '../work/send-words.tsx';
import { frameMay } from './content.tsx';

/** One message, as a mail program shows it: who, when, what, and what became of it. */
export function Message(props: {
  site: Site;
  message: MessageHead;
  isOpen: boolean;
  subjectBefore: string | null;
}) {
  const { site, message } = props;
  const at = hrefOf(site, `/admin/messages/${message.id}`);
  const isNewSubject = message.subject !== props.subjectBefore;
  return (
    <li id={message.id}>
      <details class={`message ${message.direction}`} open={props.isOpen}>
        <summary>
          <span class="from">
            <Person of={message.from} />
            {!message.read && <Badge tone="still">{words('conv.unread')}</Badge>}
          </span>
          <bdi class="first-line">{message.reply_text.replaceAll(/\s+/g, ' ').slice(0, 160)}</bdi>
          <Time at={message.date} short />
        </summary>
        <div class="opened">
          {isNewSubject && (
            <h2>
              <Value of={message.subject === '' ? words('conv.no_subject') : message.subject} />
            </h2>
          )}
          <p class="soft">
            {words('conv.to')} <People of={message.to} />
            {message.cc.length > 0 && (
              <>
                {' '}
                · {words('conv.cc')} <People of={message.cc} />
              </>
            )}
          </p>
          <Marks message={message} />
          <Body at={at} message={message} />
          <Attachments at={at} attachments={message.attachments} />
          <p class="links">
            <a href={hrefOf(site, `/admin/why/${message.id}`)}>{words('conv.why')}</a>
            <a href={`${at}/raw`}>{words('conv.raw')}</a>
          </p>
        </div>
      </details>
    </li>
  );
}

function Person({ of }: { of: PublicAddress }) {
  return of.name === '' || of.name === of.address ? (
    <Value of={of.address} />
  ) : (
    <span>
      <Value of={of.name} />{' '}
      <span class="soft address">
        <Value of={of.address} />
      </span>
    </span>
  );
}

/** Shown of a long list. */
const peopleMax = 20;

function People({ of }: { of: readonly PublicAddress[] }) {
  if (of.length === 0) return <>{words('conv.nobody')}</>;
  return (
    <>
      {of.slice(0, peopleMax).map((person, index) => (
        <>
          {index > 0 && ', '}
          <Value of={person.name === '' ? person.address : `${person.name} <${person.address}>`} />
        </>
      ))}
      {of.length > peopleMax && ` ${words('conv.more_people', { n: number(of.length - peopleMax) })}`}
    </>
  );
}

/** Where it came from and where it is, and what became of it. */
function Marks({ message }: { message: MessageHead }) {
  const said = (key: string) => (findText(key) ?? []).map(({ text }) => text).join('');
  const { send } = message;
  return (
    <p class="marks">
      {message.via.map((via) => (
        <Badge tone="plain">{said(`conv.via.${via}`)}</Badge>
      ))}
      {message.kind !== 'individual' && <Badge tone="plain">{said(`conv.kind.${message.kind}`)}</Badge>}
      {message.automatic !== null && (
        <Badge tone="plain">{said(`conv.automatic.${message.automatic}`)}</Badge>
      )}
      {message.mailbox_state !== 'present' && (
        <Badge tone="plain">{said(`conv.mailbox.${message.mailbox_state}`)}</Badge>
      )}
      {message.partial !== null && <Badge tone="still">{words('conv.partial')}</Badge>}
      {send !== null && <SendStateBadge state={send.state} />}
      <ReasonInShort reason={send?.reason ?? null} />
    </p>
  );
}

/**
 * The text, what it quotes folded; formatted mail in a frame that can neither run nor load anything of it. The frame is as
 * high as the mail says (console.js), and where there are no scripts as its text is long.
 */
function Body({ at, message }: { at: string; message: MessageHead }) {
  const { html, omitted } = message;
  if (omitted !== null) return <p class="outcome still">{words('conv.omitted')}</p>;
  if (html === null) return <Text text={message.text} own={message.reply_text} />;
  const frame = `frame-${message.id}`;
  const long = message.text.length;
  return (
    <>
      {html.remote_images && (
        <p class="images">
          {words('conv.images_left_out')}{' '}
          <a href={`${at}/html?images=1`} target={frame}>
            {words('conv.show_images')}
          </a>
        </p>
      )}
      <iframe
        name={frame}
        class={`mail ${long < 400 ? 'short' : long < 2500 ? 'medium' : 'long'}`}
        src={`${at}/html`}
        sandbox={frameMay}
        loading="lazy"
        title={words('conv.frame', { subject: message.subject })}
      />
      <details class="fold">
        <summary>{words('conv.as_text')}</summary>
        <Text text={message.text} own={message.reply_text} />
      </details>
    </>
  );
}

function Text({ text, own }: { text: string; own: string }) {
  const [whole, mine] = [text.trim(), own.trim()];
  if (whole === mine || mine === '')
    return (
      <div class="mail-text" dir="auto">
        {whole}
      </div>
    );
  const quoted = whole.startsWith(mine) ? whole.slice(mine.length).trim() : whole;
  return (
    <>
      <div class="mail-text" dir="auto">
        {mine}
      </div>
      <details class="fold">
        <summary>{words('conv.quoted')}</summary>
        <div class="mail-text soft" dir="auto">
          {quoted}
        </div>
      </details>
    </>
  );
}

function Attachments({ at, attachments }: { at: string; attachments: readonly PublicAttachment[] }) {
  const listed = attachments.filter(({ inline, omitted }) => !inline || omitted !== null);
  if (listed.length === 0) return null;
  return (
    <ul class="attachments">
      {listed.map(({ n, name, size, omitted }) => (
        <li>
          {omitted === null ? (
            <a href={`${at}/attachments/${n}`} download>
              <Value of={name} />
            </a>
          ) : (
            <Value of={name} />
          )}{' '}
          <span class="soft">
            {sizeWords(size)}
            {omitted !== null && ` · ${words('conv.attachment_omitted')} `}
            {omitted !== null && <code>{omitted}</code>}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** A size in its largest unit; 1 MB is 1,048,576 bytes here (L1). */
function sizeWords(bytes: number): string {
  if (bytes < 1024) return `${number(bytes)} B`;
  if (bytes < 1_048_576) return `${number(Math.round(bytes / 1024))} KB`;
  return `${number(Math.round((bytes / 1_048_576) * 10) / 10)} MB`;
}

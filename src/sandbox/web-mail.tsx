import { formatAddress, parseAddresses } from './address.ts';
import { answerTo, composeMail, threadOf, type Draft } from './compose.ts';
import { sandboxContacts } from './contacts.ts';
import { BadRequest, json, redirect, type Request, type Response, type Routes } from './http-server.ts';
import { structureOf } from './imap-fetch.ts';
import { hasFlag } from './imap-search.ts';
import { decodeWords, headerOf, textOf } from './mime.ts';
import { page, styleSheet } from './page.tsx';
import type { PostOffice } from './post-office.ts';
import { folderNames, type Folder, type Mailbox, type Message, type Store } from './store.ts';
import type { Clock } from '../lib/clock.ts';

type Options = { store: Store; postOffice: PostOffice; clock: Clock };

/**
 * The small web mail. People see and write mail as a person of the sandbox, or as a customer who writes to
 * one; scripts do the same with JSON:
 *
 * - `POST /mail/send` `{mailbox, to, cc?, subject?, text?, html?, answers?}`: written by hand as that person.
 * - `POST /mail/deliver` `{mailbox, from, to?, cc?, subject?, text?, html?, message_id?, in_reply_to?, references?,
 *   answers?, folder?}`, or `?mailbox=&folder=` with a `message/rfc822` body: arrives in that mailbox.
 * - `GET /mail/messages?mailbox=&folder=`: what is in a folder (INBOX by default), oldest first.
 *
 * `answers` is `INBOX/3`: the folder and UID of the message in that mailbox that this one answers.
 */
export function webMailRoutes(options: Options): Routes {
  return {
    'GET /style.css': () => styleSheet,
    'GET /': () => redirect('/mail'),
    'GET /mail': ({ fields }) => mailboxPage(options, fields),
    'GET /mail/message': ({ fields }) => messagePage(options, fields),
    'GET /mail/new': ({ fields }) => formPage(options, fields),
    'POST /mail/send': (request) => send(options, request),
    'POST /mail/deliver': (request) => deliver(options, request),
    'GET /mail/messages': ({ fields }) => {
      const folder = folderOf(mailboxOf(options, fields), fields.get('folder'));
      return json(200, { data: folder.messages.map((message) => summaryOf(folder, message)) });
    },
  };
}

function send(options: Options, request: Request): Response {
  const { fields } = request;
  const mailbox = mailboxOf(options, fields);
  const draft = draftOf(options, fields, { from: mailbox.address, to: fields.get('to') ?? '' });
  const people = parseAddresses([draft.to, draft.cc, fields.get('bcc')].filter(Boolean).join(','));
  if (people.length === 0) throw new BadRequest('“To” holds no address.');
  const recipients = people.map(({ address }) => address);
  const { outgoing } = options.postOffice.accept({ mailbox, recipients, raw: composeMail(draft) });
  options.postOffice.fileSentCopy(outgoing);
  options.postOffice.deliver(outgoing);
  if (request.type !== 'application/json') return redirect(linkTo('/mail', { as: mailbox.address }));
  return json(201, { mailbox: mailbox.address, message_id: headerOf(structureOf(outgoing), 'message-id') });
}

function deliver(options: Options, request: Request): Response {
  const { fields, type, body } = request;
  const mailbox = mailboxOf(options, fields);
  const folder = folderOf(mailbox, fields.get('folder'));
  const from = fields.get('from') ?? '';
  if (type !== 'message/rfc822' && parseAddresses(from).length !== 1) {
    throw new BadRequest('“From” holds no address, or several.');
  }
  const raw =
    type === 'message/rfc822'
      ? body
      : composeMail(draftOf(options, fields, { from, to: fields.get('to') || mailbox.address }));
  const message = options.store.append(folder, raw);
  if (type === 'application/x-www-form-urlencoded') return redirect(linkTo('/mail', { as: mailbox.address }));
  return json(201, { mailbox: mailbox.address, ...summaryOf(folder, message) });
}

function draftOf(
  { store, clock }: Options,
  fields: Map<string, string>,
  sides: { from: string; to: string },
): Draft {
  const answered = fields.get('answers') ? answeredBy(store, fields) : undefined;
  return {
    ...sides,
    cc: fields.get('cc'),
    subject: fields.get('subject') ?? '',
    text: fields.get('text') ?? '',
    html: fields.get('html'),
    sentAtMs: clock.now(),
    messageId: fields.get('message_id'),
    inReplyTo: fields.get('in_reply_to'),
    references: fields.get('references'),
    ...(answered ? threadOf(answered.message.raw) : {}),
  };
}

function mailboxPage(options: Options, fields: Map<string, string>): Promise<Response> {
  const mailbox = options.store.find(fields.get('as') ?? '');
  if (!mailbox) return homePage(options);
  const { address, folders } = mailbox;
  const shown = folderNames.filter(
    (name) => ['INBOX', 'Sent'].includes(name) || folders[name].messages.length > 0,
  );
  return page(
    address,
    <>
      <p class="row">
        <a href={linkTo('/mail/new', { as: address, by: 'person' })}>Write a mail as this person</a>
        <a href={linkTo('/mail/new', { as: address, by: 'customer' })}>Somebody else writes to this person</a>
        <a href="/mail">Other people</a>
      </p>
      {shown.map((name) => (
        <section>
          <h2>{name}</h2>
          {folders[name].messages.length === 0 && <p class="quiet">Nothing yet.</p>}
          <ul>{folders[name].messages.toReversed().map((message) => messageItem(folders[name], message))}</ul>
        </section>
      ))}
    </>,
  );
}

function messageItem(folder: Folder, message: Message) {
  const { uid, subject, from, to, date, flags } = summaryOf(folder, message);
  const link = linkTo('/mail/message', { as: folder.address, folder: folder.name, uid: String(uid) });
  const read = flags.includes('\\Seen');
  return (
    <li>
      <a href={link}>{read ? subject || '(no subject)' : <strong>{subject || '(no subject)'}</strong>}</a>
      <p class="quiet">
        {folder.name === 'Sent' ? `to ${to}` : `from ${from}`} · {dateText(date)}
        {read ? '' : ' · unread'}
      </p>
    </li>
  );
}

function homePage({ store }: Options): Promise<Response> {
  return page(
    'People of the sandbox',
    <>
      <ul>
        {store.mailboxes().map(({ address }) => (
          <li>
            <a href={linkTo('/mail', { as: address })}>{address}</a>
          </li>
        ))}
      </ul>
      <h2>Customers to write to</h2>
      <p class="quiet">
        The part before the @ picks what happens. Mail to anybody else is accepted, and nothing comes back.
      </p>
      <ul>
        {sandboxContacts.map(({ localPart, does }) => (
          <li>
            {localPart}@sandbox.example
            <p class="quiet">{does}</p>
          </li>
        ))}
      </ul>
    </>,
  );
}

function messagePage(options: Options, fields: Map<string, string>): Promise<Response> {
  const mailbox = mailboxOf(options, fields);
  const folder = folderOf(mailbox, fields.get('folder'));
  const message = messageIn(folder, fields.get('uid'));
  // Opening a message reads it, as in every web mail.
  options.store.setFlags(folder, message, [...message.flags, '\\Seen']);
  const { subject, from, to, date } = summaryOf(folder, message);
  const answers = { as: mailbox.address, answers: `${folder.name}/${message.uid}` };
  return page(
    subject || '(no subject)',
    <>
      <dl>
        <dt>From</dt>
        <dd>{from}</dd>
        <dt>To</dt>
        <dd>{to}</dd>
        <dt>Date</dt>
        <dd>{dateText(date)}</dd>
      </dl>
      <pre>{textOf(message.raw, structureOf(message))}</pre>
      <p class="row">
        <a href={linkTo('/mail/new', { ...answers, by: 'person' })}>Answer as {mailbox.address}</a>
        <a href={linkTo('/mail/new', { ...answers, by: 'customer' })}>The customer writes in this thread</a>
        <a href={linkTo('/mail', { as: mailbox.address })}>Back</a>
      </p>
    </>,
  );
}

function formPage(options: Options, fields: Map<string, string>): Promise<Response> {
  const mailbox = mailboxOf(options, fields);
  const byCustomer = fields.get('by') === 'customer';
  const answered = fields.get('answers') ? answeredBy(options.store, fields) : undefined;
  const answer =
    answered &&
    answerTo(answered.message.raw, { from: mailbox.address, text: '', sentAtMs: options.clock.now() });
  // The other side of the message that is answered, whichever of the two wrote it.
  const summary = answered && summaryOf(answered.folder, answered.message);
  const [other] = parseAddresses((answered?.folder.name === 'Sent' ? summary?.to : answer?.to) ?? '');
  const example = byCustomer ? 'Eva Long <eva@customer.example>' : 'replies@sandbox.example';
  return page(
    byCustomer ? `Somebody else writes to ${mailbox.address}` : `Write as ${mailbox.address}`,
    <form method="post" action={byCustomer ? '/mail/deliver' : '/mail/send'}>
      <input type="hidden" name="mailbox" value={mailbox.address} />
      {answered && <input type="hidden" name="answers" value={fields.get('answers')} />}
      <label>
        {byCustomer ? 'From' : 'To'}
        <input name={byCustomer ? 'from' : 'to'} value={other ? formatAddress(other) : example} required />
      </label>
      {!byCustomer && (
        <label>
          Bcc
          <input name="bcc" />
        </label>
      )}
      <label>
        Subject
        <input name="subject" value={answer?.subject} />
      </label>
      <label>
        Text
        <textarea name="text">{answer?.text}</textarea>
      </label>
      <div class="row">
        <button class="main">Send</button>
        <a href={linkTo('/mail', { as: mailbox.address })}>Back</a>
      </div>
    </form>,
  );
}

/** A message as JSON, and as the pages show it. Texts are decoded. */
function summaryOf(folder: Folder, message: Message) {
  const part = structureOf(message);
  const header = (name: string) => decodeWords(headerOf(part, name) ?? '');
  return {
    folder: folder.name,
    uid: message.uid,
    flags: message.flags,
    message_id: header('message-id'),
    in_reply_to: header('in-reply-to'),
    references: header('references'),
    from: header('from'),
    to: header('to'),
    subject: header('subject'),
    date: new Date(message.receivedAtMs).toISOString(),
    text: textOf(message.raw, part),
    unread: !hasFlag(message, '\\Seen'),
  };
}

/** `2026-11-03 10:00 UTC` */
function dateText(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')} UTC`;
}

function answeredBy(store: Store, fields: Map<string, string>): { folder: Folder; message: Message } {
  const [name, uid] = (fields.get('answers') ?? '').split('/');
  const folder = folderOf(mailboxOf({ store }, fields), name);
  return { folder, message: messageIn(folder, uid) };
}

function mailboxOf({ store }: Pick<Options, 'store'>, fields: Map<string, string>): Mailbox {
  const mailbox = store.find(fields.get('mailbox') ?? fields.get('as') ?? '');
  if (!mailbox) throw new BadRequest('The sandbox has no such person.');
  return mailbox;
}

function folderOf(mailbox: Mailbox, wanted: string | undefined): Folder {
  const name = folderNames.find((name) => name === (wanted ?? 'INBOX'));
  if (!name) throw new BadRequest('There is no such folder.');
  return mailbox.folders[name];
}

function messageIn(folder: Folder, uid: string | undefined): Message {
  const message = folder.messages.find((message) => String(message.uid) === uid);
  if (!message) throw new BadRequest('There is no such message.');
  return message;
}

function linkTo(path: string, query: Record<string, string>): string {
  return `${path}?${new URLSearchParams(query).toString()}`;
}

import type { SendAnswer } from '../../src/outbound/take-over.ts';
import type { ModelMail } from './model.ts';
import type { Mail } from './provider.ts';
import type { MailSpec } from './steps.ts';

/** Writes a mail as programs do, well or badly. What it answers may not be there: its id is known all the same. */
export function composeMail(spec: MailSpec, mails: ReadonlyMap<number, Mail>, now: number): Mail {
  const parent = spec.answers === null ? null : (mails.get(spec.answers) ?? null);
  const parentId = spec.answers === null ? null : parent === null ? idOf(spec.answers) : parent.messageId;
  const chain = [...(parent?.references ?? []), ...(parentId === null ? [] : [parentId])];
  const cites = spec.forward ? 'nothing' : spec.cites;
  const inReplyTo = cites === 'all' || cites === 'in_reply_to' ? parentId : null;
  const references = cites === 'all' || cites === 'references' ? chain : [];
  const base = parent?.subject ?? `Matter ${spec.answers ?? spec.n}`;
  const reply = base.startsWith('Re: ') ? base : `Re: ${base}`;
  const subject = spec.answers === null ? base : spec.forward ? `Fwd: ${base}` : reply;
  const messageId = spec.id === 'none' ? null : idOf(spec.id === 'own' ? spec.n : spec.id);
  const fields = [
    `From: ${spec.from}`,
    `To: ${spec.to.join(', ')}`,
    ...(spec.cc.length === 0 ? [] : [`Cc: ${spec.cc.join(', ')}`]),
    `Subject: ${subject}`,
    `Date: ${new Date(now).toUTCString().replace('GMT', '+0000')}`,
    ...(messageId === null ? [] : [`Message-ID: <${messageId}>`]),
    ...(inReplyTo === null ? [] : [`In-Reply-To: <${inReplyTo}>`]),
    ...(references.length === 0 ? [] : [`References: ${references.map((id) => `<${id}>`).join(' ')}`]),
    ...kindFields[spec.kind],
    'Content-Type: text/plain; charset=utf-8',
  ];
  const raw = Buffer.from([...fields, '', `Mail #${spec.n}#`, ''].join('\r\n'));
  const { n, from, to, cc, kind } = spec;
  return { n, from, to, cc, messageId, writtenId: null, inReplyTo, references, subject, kind, raw };
}

const idOf = (n: number) => `mail-${n}@mail.example`;

const kindFields: Readonly<Record<MailSpec['kind'], string[]>> = {
  person: [],
  auto_reply: ['Auto-Submitted: auto-replied'],
  list: ['List-Id: <people.list.example>'],
};

/** What a mail system says of a mail that it could not deliver to any of its recipients (RFC 3464). */
export function composeReport(n: number, { to, about, now }: { to: string; about: Mail; now: number }): Mail {
  const from = 'mailer-daemon@mail.example';
  const failed = [...about.to, ...about.cc].flatMap((address) => [
    '',
    `Final-Recipient: rfc822; ${address}`,
    'Action: failed',
    'Status: 5.1.1',
  ]);
  const part = (type: string, lines: readonly string[]) => ['--b', `Content-Type: ${type}`, '', ...lines, ''];
  const subject = 'Undelivered mail';
  const raw = Buffer.from(
    [
      `From: ${from}`,
      `To: ${to}`,
      `Subject: ${subject}`,
      `Date: ${new Date(now).toUTCString().replace('GMT', '+0000')}`,
      `Message-ID: <${idOf(n)}>`,
      'Auto-Submitted: auto-replied',
      'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
      '',
      ...part('text/plain', ['It reached nobody.']),
      ...part('message/delivery-status', ['Reporting-MTA: dns; mail.example', ...failed]),
      ...part('text/rfc822-headers', [`Message-ID: <${about.messageId}>`]),
      '--b--',
      '',
    ].join('\r\n'),
  );
  const ids = { messageId: idOf(n), writtenId: null, inReplyTo: null, references: [] };
  return { n, from, to: [to], cc: [], ...ids, subject, kind: 'report', raw };
}

/** What the CRM handed over, as its bytes have it. */
export async function sentMail(
  n: number,
  { message }: SendAnswer,
  blobs: { all: Map<string, Buffer> },
): Promise<Mail> {
  // A call that crashed may have left other bytes of it.
  const id = `Message-ID: <${message.internet_message_id}>`;
  const raw = [...blobs.all.values()].find((content) => content.toString('latin1').includes(id));
  if (raw === undefined) throw new Error(`the bytes of mail ${n} are not there`);
  const header =
    raw
      .toString('latin1')
      .split('\r\n\r\n')[0]
      ?.replaceAll(/\r\n[ \t]+/g, ' ') ?? '';
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(header)?.[1] ?? '';
  const ids = (name: string) => [...field(name).matchAll(/<([^>]+)>/g)].map(([, id]) => id ?? '');
  const addresses = (people: readonly { address: string }[]) => people.map(({ address }) => address);
  return {
    n,
    from: message.from.address,
    to: addresses(message.to),
    cc: addresses(message.cc),
    messageId: ids('message-id')[0] ?? null,
    writtenId: null,
    inReplyTo: ids('in-reply-to')[0] ?? null,
    references: ids('references'),
    subject: field('subject'),
    kind: 'person',
    raw,
  };
}

/** A mail as the model looks at it. */
export function modelMailOf(mail: Mail): ModelMail {
  const { subject, raw: _raw, ...rest } = mail;
  const isForward = subject.startsWith('Fwd: ');
  const forwards = subject.split('Fwd: ').length - 1;
  return { ...rest, isForward, forwards };
}

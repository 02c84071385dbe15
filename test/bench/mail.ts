import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../support/processes.ts';
import type { ServersInfo } from '../support/servers.ts';

/** How many contacts the bench's sub-account has: contact-0@customer.example and so on. */
export const contactsMax = 10_000;

function contactAddress(n: number): string {
  return `contact-${n % contactsMax}@customer.example`;
}

/** Contacts that every tenant of the bench has, however few. */
const fewContacts = 1_000;

/** Of mail that is nearly all private, one message in so many is a contact's. */
const contactEvery = 200;

/**
 * Puts messages into a person's INBOX, by Dovecot's own tool: thousands a second, where APPEND would
 * take minutes. No line of them may begin with "From ".
 */
export async function fillInbox(
  { directory, dovecot }: ServersInfo,
  user: string,
  messages: readonly string[],
): Promise<void> {
  const folder = join(directory, `fill-${user}`);
  await mkdir(folder);
  // Dovecot's tool works as the owner of the mail.
  await chmod(folder, 0o777);
  const date = 'Fri Nov 20 10:00:00 2026';
  const text = messages.map((message) => `From x@elsewhere.example ${date}\n${message}\n`).join('');
  await writeFile(join(folder, 'inbox'), text, { mode: 0o666 });
  await chmod(join(folder, 'inbox'), 0o666);
  const command = ['import', '-u', user, `mbox:${folder}`, '', 'all'];
  await runCommand('/usr/bin/doveadm', ['-c', dovecot.configPath, ...command]);
  await rm(folder, { recursive: true });
}

/** Mail as a person gets it, nearly all of it none of the CRM's business: letters, threads, newsletters. */
export function privateMail(count: number): string[] {
  return Array.from({ length: count }, (_, n) => {
    if (n % contactEvery === contactEvery - 1)
      return letter(n, { from: contactAddress(n % fewContacts), plain: true });
    const from = `${n % 3 === 0 ? 'friend' : 'shop'}-${n % 700}@elsewhere-${n % 90}.example`;
    return letter(n, { from, plain: n % 4 === 0, newsletter: n % 3 !== 0, answers: n % 6 === 0 });
  });
}

/** Short letters from contacts: half plain text, half with HTML beside it, each second one an answer. */
export function contactMail(count: number): string[] {
  return Array.from({ length: count }, (_, n) =>
    letter(n, { from: contactAddress(n % 500), plain: n % 2 === 0, answers: n % 4 < 2 }),
  );
}

/** What a user writes to customers, as it comes to the logging address; one in ten to somebody new. */
export function loggedMail(n: number, from: string): Buffer {
  const to = n % 10 === 0 ? `buyer-${n}@elsewhere.example` : contactAddress(n % 500);
  return Buffer.from(`${letter(n, { from, to, plain: n % 2 === 0 })}\n`.replaceAll('\n', '\r\n'));
}

type Kind = { from: string; to?: string; plain?: boolean; newsletter?: boolean; answers?: boolean };

/** One raw message of 3 to 6 kB with the headers that mail has today. Lines end in LF, as in mbox. */
function letter(n: number, kind: Kind): string {
  const domain = kind.from.slice(kind.from.indexOf('@') + 1);
  const earlier = [3, 2, 1].map((back) => `<${n - 500 * back}.letter@${domain}>`);
  const noise = (length: number) => 'wK3zQp8vT1LmXy7Rb2Hd'.repeat(Math.ceil(length / 20)).slice(0, length);
  return [
    `Return-Path: <${kind.from}>`,
    ...[1, 2, 3].map(
      (hop) =>
        `Received: from relay-${hop}.${domain} (relay-${hop}.${domain} [192.0.2.${hop}])\n` +
        `\tby mx-${hop}.bench.test (Postfix) with ESMTPS id ${noise(11)}\n` +
        `\tfor <ann@bench.test>; Fri, 20 Nov 2026 10:00:0${hop} +0000 (UTC)`,
    ),
    `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=${domain}; s=mail;\n\tbh=${noise(43)}=;\n\tb=${noise(340)}`,
    `ARC-Seal: i=1; a=rsa-sha256; d=bench.test; s=arc; t=1795168800; cv=none;\n\tb=${noise(340)}`,
    `Authentication-Results: mx.bench.test; dkim=pass header.d=${domain}; spf=pass smtp.mailfrom=${domain}`,
    ...(kind.newsletter === true
      ? [`List-Unsubscribe: <https://news.${domain}/leave/${noise(60)}>`, `List-Id: News <news.${domain}>`]
      : []),
    `Message-ID: <${n}.letter@${domain}>`,
    ...(kind.answers === true && n >= 1500
      ? [`In-Reply-To: ${earlier[2] ?? ''}`, `References: ${earlier.join('\n\t')}`]
      : []),
    `Date: Fri, 20 Nov 2026 ${clock(n)} +0000`,
    `From: =?utf-8?Q?J=C3=B6rg_Number_${n}?= <${kind.from}>`,
    `To: ${kind.to ?? 'Ann Example <ann@bench.test>'}${n % 5 === 0 ? ', Team <team@elsewhere.example>' : ''}`,
    `Subject: Offer ${n}, as we said on the telephone`,
    'MIME-Version: 1.0',
    ...(kind.plain === true ? plainBody(n) : twoBodies(n)),
  ].join('\n');
}

function clock(n: number): string {
  return new Date(Date.UTC(2026, 10, 20) + (n % 86_400) * 1000).toISOString().slice(11, 19);
}

const sentence = 'Thank you for the offer; could we talk about the delivery date on Thursday at eleven?';

function paragraphs(n: number): string[] {
  return [
    `Dear Ann, this is about order ${n}.`,
    sentence,
    sentence.repeat(3),
    sentence,
    'Best regards, Jörg',
  ];
}

function plainBody(n: number): string[] {
  const quoted = paragraphs(n - 1).map((line) => `> ${line}`);
  return [
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    ...paragraphs(n).flatMap((line) => [line, '']),
    'On Thu, 19 Nov 2026 at 09:00, Ann Example <ann@bench.test> wrote:',
    ...quoted,
    '',
  ];
}

function twoBodies(n: number): string[] {
  const boundary = `=_${n}_part`;
  const html = paragraphs(n).map(
    (line) => `<p style="margin:0;font-family:Arial">${line}</p><div><br></div>`,
  );
  return [
    `Content-Type: multipart/alternative; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    ...plainBody(n),
    `--${boundary}`,
    'Content-Type: text/html; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    '<html><body>',
    ...html,
    '<div class="gmail_quote">On Thu, 19 Nov 2026 Ann Example wrote:<blockquote>',
    ...html,
    '</blockquote></div></body></html>',
    `--${boundary}--`,
    '',
  ];
}

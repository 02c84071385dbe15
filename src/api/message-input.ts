import { z } from 'zod';
import { allowedHeaders } from '../outbound/compose.ts';
import type { OutgoingFile } from '../outbound/compose.ts';
import type { SendRequest } from '../outbound/plan.ts';
import { ApiError } from './errors.ts';
import type { FieldError } from './errors.ts';
import { parsing } from './field-words.ts';
import { addressField, crmId, gatewayId, plainText } from './fields.ts';
import { fieldErrors } from './route.ts';

/** Limits of one message, whatever the limits of its mailbox (L1); Gmail takes 100 recipients by SMTP. */
export const messageLimits = {
  /** Twice what Gmail takes (1 MB is 1,048,576 bytes), so that who sends too much hears which file it is. */
  filesBytesMax: 50 * 1_048_576,
  filesMax: 100,
  textCharsMax: 1_000_000,
  htmlCharsMax: 2_000_000,
  recipientsMax: 100,
  subjectCharsMax: 998,
  headerCharsMax: 500,
  /** How far ahead a message can be scheduled. */
  sendAheadMsMax: 366 * 24 * 60 * 60 * 1000,
};

const person = z.strictObject({
  name: plainText(200).default('').describe('Display name.'),
  address: addressField.describe('The address.'),
});

/** Addresses as a call may write them: one or several, each as a text or with a name. */
const people = z.preprocess(
  (value) =>
    (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]).map(
      (one: unknown) => (typeof one === 'string' ? { address: one } : one),
    ),
  z.array(person).max(messageLimits.recipientsMax),
);

const file = z.strictObject({
  name: plainText(255).min(1).describe('File name.'),
  type: z
    .string()
    .regex(/^[\w.+-]{1,100}\/[\w.+-]{1,100}$/, { message: 'This is no MIME type.' })
    .nullable()
    .default(null)
    .describe('MIME type; left out: by the name.'),
  content: z
    .string()
    .refine(isBase64, { params: { code: 'invalid_base64' }, message: 'This is not base64.' })
    .describe('The bytes, in base64.'),
});

const headers = z
  .record(
    z.string().refine((name) => allowedHeaders.has(name.toLowerCase()), {
      params: { code: 'header_not_allowed' },
      message: `Only ${[...allowedHeaders.values()].join(', ')} can be set.`,
    }),
    plainText(messageLimits.headerCharsMax).refine((value) => !/[\r\n]/.test(value), {
      params: { code: 'invalid_text' },
      message: 'A header has one line.',
    }),
  )
  .default({});

export const trackSchema = z.strictObject({
  opens: z.boolean().default(false).describe('Whether it is opened: by a picture at its end.'),
  clicks: z
    .boolean()
    .default(false)
    .describe('Which of its links are followed: http and https links lead by this gateway.'),
});

/** A check of several fields is made when these are valid, whatever is wrong with others. */
function valid(...names: string[]) {
  return ({ issues }: z.core.ParsePayload): boolean =>
    issues.every(
      ({ code, path }) =>
        code === 'unrecognized_keys' || (path?.[0] !== undefined && !names.includes(String(path[0]))),
    );
}

export const messageInputSchema = z
  .strictObject({
    kind: z
      .enum(['individual', 'bulk', 'workflow'])
      .describe(
        'Person to person, a campaign, or an automation; it decides the way that the message takes (D).',
      ),
    user_id: crmId.describe('Who sends it, a member of the sub-account.'),
    contact_id: crmId
      .nullable()
      .default(null)
      .describe(
        'The contact that it goes to: its main address, or where `to` is given, an address of it in there.',
      ),
    to: people.describe(
      'Recipients: a text with an address, `{ "name", "address" }`, or a list of these. At least one is a ' +
        'contact’s. An answer without any goes to the author of what it answers, or to the recipients of your own ' +
        'message.',
    ),
    cc: people.describe('Recipients of a copy, written as `to`.'),
    bcc: people.describe('Recipients whom nobody sees, written as `to`.'),
    from: addressField.nullable().default(null).describe('The connected address; left out, it is taken.'),
    subject: plainText(messageLimits.subjectCharsMax)
      .nullable()
      .default(null)
      .describe('Left out, an answer takes that of what it answers, with `Re:`.'),
    text: plainText(messageLimits.textCharsMax)
      .nullable()
      .default(null)
      .describe(
        'Plain text; left out, it is made from the HTML. A message has a text, HTML, a subject or an attachment.',
      ),
    html: plainText(messageLimits.htmlCharsMax)
      .nullable()
      .default(null)
      .describe('HTML, sent as it is given.'),
    reply_to_message_id: gatewayId
      .nullable()
      .default(null)
      .describe('The message that it answers (`msg_…`): it joins its thread.'),
    attachments: z
      .array(file)
      .max(messageLimits.filesMax)
      .default([])
      .describe(
        `Files; of the sizes and types that the mailbox takes (\`limits\` of its connection), and all of them together ` +
          `at most ${messageLimits.filesBytesMax} bytes.`,
      ),
    send_at: z.iso
      .datetime({ offset: true })
      .nullable()
      .default(null)
      .describe('When to send it, at most a year ahead; left out or past: at once.'),
    track: trackSchema
      .default({ opens: false, clicks: false })
      .describe('What of the HTML is to be tracked (D7); left out, nothing.'),
    on_limit: z
      .enum(['refuse', 'defer'])
      .default('refuse')
      .describe(
        'L3: past the daily limit of the mailbox the call is refused (`daily_limit`), or the message waits until it may go.',
      ),
    headers: headers.describe(`Further headers: ${[...allowedHeaders.values()].join(', ')}.`),
  })
  .refine(({ contact_id, to, reply_to_message_id }) => contact_id ?? reply_to_message_id ?? to[0], {
    path: ['to'],
    when: valid('contact_id', 'to', 'reply_to_message_id'),
    params: { code: 'required' },
    message: 'Name a contact, an address, or a message to answer.',
  })
  .refine(({ to, cc, bcc }) => to.length + cc.length + bcc.length <= messageLimits.recipientsMax, {
    path: ['to'],
    when: valid('to', 'cc', 'bcc'),
    params: { code: 'too_long' },
    message: `There are more than ${messageLimits.recipientsMax} recipients.`,
  })
  .refine(
    ({ send_at }) => send_at === null || Date.parse(send_at) < Date.now() + messageLimits.sendAheadMsMax,
    {
      path: ['send_at'],
      when: valid('send_at'),
      params: { code: 'too_late' },
      message: 'This is more than a year ahead.',
    },
  )
  .refine(({ track, html }) => (!track.opens && !track.clicks) || (html !== null && html !== ''), {
    path: ['track'],
    when: valid('track', 'html'),
    params: { code: 'needs_html' },
    message: 'Only HTML can be tracked, and the message has none.',
  })
  .meta({ id: 'MessageInput', description: 'A message to send.' });

/**
 * The request behind a body that was read, with the files that came beside it.
 *
 * @throws ApiError with every field that is not valid, or `attachment_too_large`.
 */
export function sendRequestOf(
  call: { subAccountId: string; requestId: string },
  body: unknown,
  files: readonly FilePart[],
): SendRequest {
  const parsed = messageInputSchema.safeParse(body, parsing);
  const fields = parsed.success ? [] : fieldErrors('body', parsed.error.issues);
  if (files.length === 0 && saysNothing(body)) fields.push(emptyMessage);
  if (!parsed.success || fields.length > 0) {
    throw new ApiError('invalid_request', 'See errors for each field.', { fields });
  }
  const input = parsed.data;
  const all = [...input.attachments.map(decoded), ...files];
  let bytes = 0;
  for (const [position, { name, content }] of all.entries()) {
    bytes += content.length;
    if (bytes > messageLimits.filesBytesMax)
      throw tooLarge({ path: pathOf(position, all.length, files), name, bytes });
  }
  return {
    ...call,
    kind: input.kind,
    userId: input.user_id,
    contactId: input.contact_id,
    to: input.to,
    cc: input.cc,
    bcc: input.bcc,
    from: input.from,
    subject: input.subject,
    text: input.text,
    html: input.html,
    replyToMessageId: input.reply_to_message_id,
    files: all,
    headers: input.headers,
    track: input.track,
    // What is past is due at once, and PostgreSQL knows no year 0.
    sendAt: input.send_at === null ? null : Math.max(0, Date.parse(input.send_at)),
    onLimit: input.on_limit,
  };
}

/** A file that came as a part of its own, under a name. */
export type FilePart = OutgoingFile & { part: string };

/** What a file of a request is called in the errors of its call: those of the JSON come before the parts. */
export function pathOf(position: number, all: number, parts: readonly FilePart[]): string {
  return parts[position - (all - parts.length)]?.part ?? `attachments.${position}`;
}

/** Attachments that are more together than the gateway reads; `bytes` is how many there were by then, with the named one. */
export function tooLarge({ path, name, bytes }: { path: string; name: string; bytes: number }): ApiError {
  const limit = messageLimits.filesBytesMax;
  const code = 'attachment_too_large';
  const detail = `With ${name} the attachments have ${bytes} bytes or more; ${limit} are taken together.`;
  return new ApiError(code, detail, { fields: [{ in: 'body', path, code, detail }] });
}

const emptyMessage: FieldError = {
  in: 'body',
  path: 'text',
  code: 'required',
  detail: 'The message says nothing: give a text, HTML, a subject or an attachment.',
};

/** Of a body that need not be valid in its other fields. */
function saysNothing(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false;
  return ['subject', 'text', 'html', 'attachments'].every((name) => {
    const value: unknown = Reflect.get(body, name);
    if (Array.isArray(value)) return value.length === 0;
    return value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
  });
}

function decoded({ name, type, content }: z.output<typeof file>): OutgoingFile {
  return { name, type, content: Buffer.from(content, 'base64') };
}

/** RFC 4648 §4, with or without padding; line breaks are fine, as MIME has them. */
function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(text);
}

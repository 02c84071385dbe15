import { z } from 'zod';
import { timeField } from './fields.ts';

/*
 * Messages and what holds them, as the API shows them. The types are those of store/public-*.ts,
 * which the events carry too; the compiler holds the two together where a handler answers.
 */

const address = z
  .strictObject({
    name: z.string().describe('Display name, decoded; empty when there is none. Never trust it as identity.'),
    address: z.string().describe('As written in the message.'),
  })
  .meta({ id: 'Address', description: 'A person as a message names them.' });

const attachment = z
  .strictObject({
    n: z.int().describe('Its number in the message, from 1: `…/attachments/{n}`.'),
    name: z.string().describe('File name.'),
    type: z.string().describe('MIME type as declared.'),
    size: z.int().describe('Decoded bytes.'),
    inline: z.boolean().describe('Shown inside the HTML by its content id.'),
    content_id: z.string().nullable().describe('By which the HTML names it (`cid:`).'),
    omitted: z.string().nullable().describe('Why there is no content, as a rule; null when there is.'),
  })
  .meta({ id: 'Attachment', description: 'An attachment, listed whether or not its content is kept.' });

const sendState = z
  .enum(['queued', 'held', 'sending', 'uncertain', 'sent', 'bounced', 'failed', 'cancelled'])
  .describe(
    '`queued`: durable, waiting for its turn, its time or the next try. `held`: waiting for a person: the mailbox ' +
      'needs consent, or the provider wants something done. `sending`: on its way to the provider. `uncertain`: the ' +
      'connection was lost before the answer; the Sent folder will tell. `sent`: the provider took it; not ' +
      'necessarily in the recipient’s mailbox. `bounced`: a delivery report says that a recipient was not ' +
      'reached; `reports` tells which. `failed`: refused for good, or given up. `cancelled`: taken back before it was sent.',
  );

const reports = z
  .array(
    z
      .strictObject({
        address: z.string().describe('The recipient, as the message went to them.'),
        action: z
          .enum(['failed', 'delayed', 'delivered', 'relayed', 'expanded', 'displayed', 'deleted'])
          .describe(
            'As RFC 3464 has it: `failed` alone is a bounce; `delayed`: it is still tried. Of read receipts (RFC 8098): ' +
              '`displayed`, and `deleted` without having been.',
          ),
        class: z
          .enum(['hard', 'soft', 'block'])
          .nullable()
          .describe(
            'Of a failure. `hard`: the address cannot be reached, neither now nor later; `soft`: it may be, at another ' +
              'time or by another message (full, busy, too large); `block`: the other side does not want this sender or ' +
              'this message. Null: its codes do not tell, or it is no failure.',
          ),
        status: z.string().nullable().describe('Enhanced status code (RFC 3463); null when there is none.'),
        words: z.string().nullable().describe('The other system’s own; null when there are none.'),
        at: timeField.describe('When the provider received the report.'),
      })
      .meta({
        id: 'SendReport',
        description: 'What a report says of one recipient of what the CRM sent (D6).',
      }),
  )
  .describe(
    'What delivery reports and read receipts say, in the order in which they came; of each recipient the first of a kind.',
  );

const refused = z
  .array(
    z
      .strictObject({
        address: z.string().describe('The recipient, as the message went to them.'),
        state: z
          .enum(['deferred', 'refused', 'given_up', 'uncertain', 'cancelled'])
          .describe(
            '`deferred`: put off, and tried again at the `next_try_at` of the send; `refused`: for good; `given_up`: put ' +
              'off for too long; `uncertain`: the connection was lost before the answer to a later try, which is not ' +
              'made again; `cancelled`: put off, and taken back.',
          ),
        reply: z.string().describe('The provider’s own words.'),
      })
      .meta({
        id: 'RefusedRecipient',
        description: 'A recipient that the provider refused while it took the message for others (D5).',
      }),
  )
  .describe('Recipients of a message that was `sent` to whom it did not go, or not yet.');

const answered = (whose: string) =>
  z
    .strictObject({
      message_id: z.string().describe('`msg_…`'),
      at: timeField.describe('When the provider received it.'),
    })
    .nullable()
    .describe(`The first ${whose} to it; null as long as there is none.`);

/** To whom of its recipients what the CRM sent did not go, and what came back to it (D5, D7). */
const cameBack = {
  refused,
  reports,
  answered: answered('answer of a person'),
  auto_replied: answered('automatic answer (an absence notice, say)'),
};

export const messageSchema = z
  .strictObject({
    id: z.string().describe('`msg_…`'),
    sub_account_id: z.string().describe("The CRM's id."),
    direction: z.enum(['inbound', 'outbound']).describe("Seen from the mailbox's owner."),
    kind: z.enum(['individual', 'bulk', 'workflow']).describe('What kind of mail it is.'),
    via: z
      .array(z.enum(['crm', 'mailbox', 'logging_address']))
      .describe('Each way on which it reached the CRM.'),
    user_id: z.string().nullable().describe('Whose mailbox it went through.'),
    from: address.describe('Its author.'),
    to: z.array(address).describe('Recipients.'),
    cc: z.array(address).describe('Recipients of a copy.'),
    subject: z.string().describe('Decoded; empty when there is none.'),
    date: timeField.describe("The message's own date."),
    received_at: timeField.describe('When the provider received it, or the CRM handed it over.'),
    text: z.string().describe('The plain text.'),
    html: z
      .string()
      .nullable()
      .describe('Sanitised; null when the message has none. Remote images are left in it.'),
    reply_text: z.string().describe('The text without quotes and signature.'),
    attachments: z.array(attachment).describe('In the order of the message.'),
    internet_message_id: z
      .string()
      .nullable()
      .describe('Message-ID without angle brackets, as the mailbox knows it now; null when it has none.'),
    in_reply_to: z.array(z.string()).describe('Bare ids of the messages that it answers.'),
    answers: z
      .string()
      .nullable()
      .describe('`msg_…`: the message of its thread that it answers; null when that is not here.'),
    read: z.boolean().describe('Whether it was read.'),
    automatic: z.string().nullable().describe('Why it is no person’s letter; null when it is one.'),
    partial: z.string().nullable().describe('Why the body is not whole; null when it is.'),
    omitted: z
      .strictObject({
        reason: z.string().describe('As in Decision: `attachment_too_large`.'),
        decision_id: z
          .string()
          .describe(
            '`dec_…`: `POST …/decisions/{id}/store` fetches it, and `message.updated` shows it then.',
          ),
      })
      .nullable()
      .describe(
        'Why only its header is here, without text and attachments (L1); null: it is here, whole or with attachments left out.',
      ),
    thread_id: z.string().describe('`thr_…`'),
    conversation_ids: z.array(z.string()).describe('`cnv_…`, of each contact on its thread.'),
    mailbox_state: z
      .enum(['present', 'archived', 'trashed', 'gone'])
      .describe('Where it is in the mailbox now.'),
    send: z
      .strictObject({
        id: z.string().describe('`snd_…`'),
        state: z.string().describe('As in Send.'),
        reason: z.string().nullable().describe('Why it is in this state.'),
        ...cameBack,
      })
      .nullable()
      .describe('What became of a message that the CRM sent; null for the others.'),
    logging_tags: z
      .array(z.string())
      .describe('What stood behind the `+` of the logging addresses that it came to (B1).'),
    created_at: timeField.describe('When it came to be here.'),
    updated_at: timeField.describe('When anything of it last changed.'),
  })
  .meta({ id: 'Message', description: 'A message, in one sub-account.' });

const routeSchema = z
  .strictObject({
    through: z.enum(['mailbox', 'provider']).describe("The user's mailbox, or the sub-account's provider."),
    from: z.string().describe('The address that it is from.'),
    row: z.string().describe('The row of the table of ways (D) that decided it, as a word for machines.'),
    because: z.string().describe('The same in words.'),
  })
  .meta({ id: 'Route', description: 'Which way a message takes.' });

const trackedFields = {
  count: z
    .int()
    .describe(
      'How often, as far as is known by a person; within a minute after one that was counted nothing is counted.',
    ),
  first_at: timeField.nullable().describe('The first time; null: never yet.'),
  last_at: timeField.nullable().describe('The last time that was counted.'),
};

export const sendSchema = z
  .strictObject({
    id: z.string().describe('`snd_…`'),
    sub_account_id: z.string().describe("The CRM's id."),
    message_id: z.string().describe('`msg_…`'),
    thread_id: z.string().describe('`thr_…`'),
    user_id: z.string().describe('Who sends it.'),
    state: sendState,
    reason: z
      .string()
      .nullable()
      .describe(
        'Why it is in this state: a word, for a refusal with the provider’s own words behind it; null when there is ' +
          'nothing to say.',
      ),
    state_since: timeField.describe('When it came into this state.'),
    route: routeSchema,
    next_try_at: timeField
      .nullable()
      .describe(
        'When it is due to be tried, or looked for; null once that is over, and while a person must act.',
      ),
    copy_seen: z.boolean().describe("The mailbox's own copy was seen in its Sent folder."),
    sent_copy: z
      .strictObject({
        state: z
          .enum(['awaited', 'appended', 'not_appended'])
          .describe(
            '`awaited`: the gateway puts one there unless one shows up within some minutes; `appended`: it did; ' +
              '`not_appended`: it puts none there.',
          ),
        reason: z
          .string()
          .nullable()
          .describe(
            'Why not, or not yet: `host_saves_copies` (it did so before), `no_sent_folder`, `sent_folder_unreadable`, ' +
              '`disconnected`, `refused` with the server’s own words behind it, or what the connection failed for; ' +
              'null when there is nothing to say.',
          ),
      })
      .nullable()
      .describe(
        'What the gateway does about that copy; null where the provider puts it there by itself, as Gmail and Outlook ' +
          'do, and until the message is sent.',
      ),
    ...cameBack,
    attempts: z
      .array(
        z.strictObject({
          n: z.int().describe('From 1.'),
          started_at: timeField.describe('Before anything was said to the provider.'),
          ended_at: timeField
            .nullable()
            .describe('When the answer came; null when the process ended before that.'),
          outcome: z
            .string()
            .nullable()
            .describe(
              '`accepted`, `temporary`, `permanent`, `denied` (a person must act), `uncertain`: only the answer or ' +
                'the Sent folder tells; null while nothing of it can have been taken.',
            ),
          reply: z
            .string()
            .nullable()
            .describe('The provider’s own words, with a line for each recipient that it refused.'),
        }),
      )
      .describe('Every try, in order.'),
    tracking: z
      .strictObject({
        opens: z
          .strictObject(trackedFields)
          .nullable()
          .describe('Openings of the mail; null when the call did not ask for them.'),
        clicks: z
          .array(z.strictObject({ url: z.string().describe('Where the link leads.'), ...trackedFields }))
          .describe('Each link that is tracked, in the order of the message.'),
      })
      .nullable()
      .describe('D7; null when the call asked for no tracking, or there was nothing to track.'),
    created_at: timeField.describe('When the call was accepted.'),
  })
  .meta({ id: 'Send', description: 'What becomes of a message that the CRM sends (D6).' });

export const sendAnswerSchema = z
  .strictObject({ message: messageSchema, send: sendSchema, route: routeSchema })
  .meta({ id: 'SendAnswer', description: 'A message that was accepted for sending.' });

export const conversationSchema = z
  .strictObject({
    id: z.string().describe('`cnv_…`'),
    sub_account_id: z.string().describe("The CRM's id."),
    contact_id: z.string().describe('The contact.'),
    last_message_at: timeField.nullable().describe('Date of its newest message; null while it has none.'),
    created_at: timeField.describe('When it was made.'),
    updated_at: timeField.describe('When a message of it came or changed.'),
  })
  .meta({ id: 'Conversation', description: 'Everything exchanged with one contact in one sub-account.' });

export const threadFields = {
  id: z.string().describe('`thr_…`'),
  sub_account_id: z.string().describe("The CRM's id."),
  subject: z.string().describe('Subject of the message that opened it.'),
  opened_by: z.string().describe('The rule that opened it.'),
  state: z.enum(['live', 'unlinked']).describe('Whether its next messages sync.'),
  reason: z.string().nullable().describe('Why it was unlinked; null while it is live.'),
  mailbox: z
    .strictObject({
      id: z.string().describe('`mbx_…`'),
      address: z.string().describe('Its address.'),
    })
    .nullable()
    .describe('The mailbox in which it lives, or lived last; null for one that never touched a mailbox.'),
  conversation_ids: z.array(z.string()).describe('`cnv_…`, of each contact on it.'),
  created_at: timeField.describe('When it was opened.'),
  updated_at: timeField.describe(
    'When a message of it came or changed, or it became live or unlinked in a mailbox.',
  ),
};

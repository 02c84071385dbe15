import { z } from 'zod';
import { wish } from '../filing/wishes.ts';
import type { MessageId } from '../lib/id.ts';
import { readMessages } from '../store/public-message.ts';
import type { WishRefused } from '../store/wanted.ts';
import { ApiError, notFound } from './errors.ts';
import { gatewayId, subAccountParam } from './fields.ts';
import { messageSchema } from './message-shapes.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `PATCH /v1/sub-accounts/{sid}/messages/{id}`: what the CRM wants changed in the mailbox (U2, U3). */
export function addMessageChanges(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    patchRoute,
    async (c) => {
      const { sid, id } = c.req.valid('param');
      const { read = null, mailbox_state: state = null } = c.req.valid('json');
      const of = { subAccountId: sid, messageId: id as MessageId };
      const nothing = read === null && state === null;
      const wished = nothing ? { mailboxes: [] } : await wish(deps, of, { read, state });
      if (wished === null) throw notFound('message');
      if ('refused' in wished) throw new ApiError(wished.refused, whyNot[wished.refused]);
      for (const mailboxId of wished.mailboxes) deps.wakeWanted(mailboxId);
      const [message] = await readMessages(deps.db, sid, [of.messageId]);
      if (message === undefined) throw notFound('message');
      return c.json(message, 200);
    },
    ['not_in_mailbox', 'mailbox_disconnected', 'no_such_folder', 'sent_is_read'],
  );
}

const whyNot: Readonly<Record<WishRefused, string>> = {
  not_in_mailbox: 'It was not seen in a mailbox, or is there no more.',
  mailbox_disconnected: 'Nobody in this sub-account is connected to a mailbox in which it lies.',
  no_such_folder: 'The mailbox has no folder to which it could be moved for that.',
  sent_is_read: 'What the user wrote cannot be marked as unread.',
};

const changeSchema = z
  .strictObject({
    read: z.boolean().optional().describe('Whether it counts as read.'),
    mailbox_state: z.enum(['archived', 'trashed']).optional().describe('Where it is to be.'),
  })
  .meta({ id: 'MessageChange', description: 'What is to be changed; what is missing stays as it is.' });

const patchRoute = defineRoute({
  method: 'patch',
  path: '/v1/sub-accounts/{sid}/messages/{id}',
  tags: ['Conversations'],
  summary: 'Mark a message as read or unread, archive it, or move it to Trash',
  description:
    'In every mailbox of the sub-account in which it lies. When it is answered, what was asked for is stored, and it is ' +
    'done in the mailbox within seconds, or when the mailbox can be reached again; the newest call counts. `read` ' +
    'changes at once, and changes back should the mailbox refuse it for a day; `mailbox_state` changes, with a ' +
    '`message.updated`, when the message has been moved. Gmail keeps what was sent in Sent: archiving it changes nothing.',
  request: {
    params: subAccountParam.extend({ id: gatewayId.describe('`msg_…`') }),
    body: jsonBody(changeSchema),
  },
  responses: { 200: jsonResponse(messageSchema, 'The message, as it is now.') },
});

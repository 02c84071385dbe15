import { z } from 'zod';
import type { ConversationId } from '../lib/id.ts';
import { findOfConversation } from '../store/erasable.ts';
import { listConversations, readConversations } from '../store/public-conversation.ts';
import type { PublicConversation } from '../store/public-conversation.ts';
import { listMessages } from '../store/public-message.ts';
import { eraseAll } from './erasing.ts';
import { notFound } from './errors.ts';
import { crmId, gatewayId, subAccountParam, timeField } from './fields.ts';
import { conversationSchema, messageSchema } from './message-shapes.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `/v1/sub-accounts/{sid}/conversations`: what was exchanged with each contact. */
export function addConversations(api: Api, deps: ApiDeps): void {
  addRoute(api, listRoute, async (c) => {
    const { cursor, limit, contact_id, user_id, updated_after } = c.req.valid('query');
    const found = await listConversations(
      deps.db,
      c.req.valid('param').sid,
      {
        contactId: contact_id ?? null,
        userId: user_id ?? null,
        updatedAfter: updated_after ?? null,
      },
      { after: cursor && { updatedAt: cursor[0] ?? '', id: cursor[1] ?? '' }, limit: limit + 1 },
    );
    return c.json(
      pageOf(found, limit, ({ updated_at, id }) => [updated_at, id], asItIs),
      200,
    );
  });
  addRoute(api, getRoute, async (c) => {
    const { sid, id } = c.req.valid('param');
    return c.json(await conversationOf(deps, sid, id), 200);
  });
  addRoute(
    api,
    deleteRoute,
    async (c) => {
      const { sid, id } = c.req.valid('param');
      const conversation = await conversationOf(deps, sid, id);
      await eraseAll(deps, sid, () => findOfConversation(deps.db, sid, conversation.id));
      return c.body(null, 204);
    },
    ['being_sent'],
  );
  addRoute(api, messagesRoute, async (c) => {
    const { sid, id } = c.req.valid('param');
    const { cursor, limit, order } = c.req.valid('query');
    const conversation = await conversationOf(deps, sid, id);
    const found = await listMessages(
      deps.db,
      { subAccountId: sid, conversationId: conversation.id },
      {
        after: cursor && { date: cursor[0] ?? '', id: cursor[1] ?? '' },
        limit: limit + 1,
        oldestFirst: order === 'asc',
      },
    );
    return c.json(
      pageOf(found, limit, ({ date, id: messageId }) => [date, messageId], asItIs),
      200,
    );
  });
}

async function conversationOf(deps: ApiDeps, sid: string, id: string): Promise<PublicConversation> {
  const [conversation] = await readConversations(deps.db, sid, [id as ConversationId]);
  if (conversation === undefined) throw notFound('conversation');
  return conversation;
}

function asItIs<Row>(row: Row): Row {
  return row;
}

/** Lists by two values: a time and an id. */
const timePage = pageQuery.extend({
  cursor: pageQuery.shape.cursor.refine(
    (values) => values === null || (values.length === 2 && timeField.safeParse(values[0]).success),
    { params: { code: 'invalid_cursor' }, message: 'This is no cursor of this list.' },
  ),
});

const tags = ['Conversations'];
const path = '/v1/sub-accounts/{sid}/conversations';
const conversationParam = subAccountParam.extend({ id: gatewayId.describe('`cnv_…`') });

const listRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: 'List conversations',
  request: {
    params: subAccountParam,
    query: timePage.extend({
      contact_id: crmId.optional().describe('Only that of this contact.'),
      user_id: crmId.optional().describe('Only those with a message of this user’s mailbox.'),
      updated_after: timeField.optional().describe('Only those that changed later.'),
    }),
  },
  responses: {
    200: jsonResponse(
      pageSchema(conversationSchema, 'ConversationPage'),
      'Conversations, the last changed first.',
    ),
  },
});

const getRoute = defineRoute({
  method: 'get',
  path: `${path}/{id}`,
  tags,
  summary: 'Show a conversation',
  request: { params: conversationParam },
  responses: { 200: jsonResponse(conversationSchema, 'The conversation.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path: `${path}/{id}`,
  tags,
  summary: 'Erase a conversation',
  description:
    'C7: every message that it shows is erased, as by `DELETE …/messages/{id}`, also from the conversations of other ' +
    'contacts that are on the same threads. The contact stays; what it writes later begins a new conversation. A call ' +
    'that was interrupted, or met a message that is being sent, goes on when it is repeated.',
  request: { params: conversationParam },
  responses: { 204: { description: 'It is erased.' } },
});

const messagesRoute = defineRoute({
  method: 'get',
  path: `${path}/{id}/messages`,
  tags,
  summary: 'List the messages of a conversation',
  request: {
    params: conversationParam,
    query: timePage.extend({
      order: z
        .enum(['asc', 'desc'])
        .default('desc')
        .describe('`desc`: the newest first; `asc`: the oldest first.'),
    }),
  },
  responses: {
    200: jsonResponse(
      pageSchema(messageSchema, 'MessagePage'),
      'Messages of all its threads, by their date.',
    ),
  },
});

import { z } from 'zod';
import type { ThreadId } from '../lib/id.ts';
import { readThreads } from '../store/public-conversation.ts';
import { listMessages } from '../store/public-message.ts';
import { notFound } from './errors.ts';
import { gatewayId, subAccountParam } from './fields.ts';
import { messageSchema, threadFields } from './message-shapes.ts';
import { addRoute, defineRoute, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `/v1/sub-accounts/{sid}/threads/{id}`: one e-mail thread with its messages. */
export function addThreads(api: Api, deps: ApiDeps): void {
  addRoute(api, getRoute, async (c) => {
    const { sid, id } = c.req.valid('param');
    const [thread] = await readThreads(deps.db, sid, [id as ThreadId]);
    if (thread === undefined) throw notFound('thread');
    const found = await listMessages(
      deps.db,
      { subAccountId: sid, threadId: thread.id },
      { after: null, limit: messagesMax + 1, oldestFirst: false },
    );
    const messages = found.slice(0, messagesMax).reverse();
    return c.json({ ...thread, messages, older_messages: found.length > messagesMax }, 200);
  });
}

/** A thread that people write is far below; the conversation shows the older ones of a longer one. */
const messagesMax = 200;

const threadSchema = z
  .strictObject({
    ...threadFields,
    messages: z
      .array(messageSchema)
      .describe(`Its messages, the oldest first; of a longer thread the newest ${messagesMax}.`),
    older_messages: z.boolean().describe('Whether there are older ones, which the conversation lists.'),
  })
  .meta({
    id: 'Thread',
    description: 'One e-mail thread, which shows in the conversation of each contact on it.',
  });

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/sub-accounts/{sid}/threads/{id}',
  tags: ['Conversations'],
  summary: 'Show a thread',
  request: { params: subAccountParam.extend({ id: gatewayId.describe('`thr_…`') }) },
  responses: { 200: jsonResponse(threadSchema, 'The thread.') },
});

import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import type { MessageId } from '../lib/id.ts';
import { createAccept } from '../outbound/accept.ts';
import type { Refusal } from '../outbound/take-over.ts';
import { trackingNotConfigured } from '../outbound/tracking.ts';
import { findAttachmentContent, findRawContent, readMessages } from '../store/public-message.ts';
import { findMember } from '../store/users.ts';
import { sendContent } from './content.ts';
import { eraseOne } from './erasing.ts';
import { ApiError, invalidField, notFound } from './errors.ts';
import { crmId, gatewayId, plainText, subAccountParam } from './fields.ts';
import { readMessageBody } from './message-body.ts';
import { messageInputSchema, pathOf, sendRequestOf, trackSchema } from './message-input.ts';
import { messageSchema, sendAnswerSchema } from './message-shapes.ts';
import { addRoute, defineRoute, fieldCheck, jsonResponse } from './route.ts';
import type { Api, ApiDeps, FieldCheck } from './route.ts';

/** A body of so many bytes is read and checked in less than a millisecond. */
const quickBytesMax = 65_536;

/** `/v1/sub-accounts/{sid}/messages`: reading messages, their attachments and bytes, and sending. */
export function addMessages(api: Api, deps: ApiDeps): void {
  const accept = createAccept(deps);
  const checks = [userCheck(deps), parentCheck(deps), trackCheck(deps)];
  addRoute(
    api,
    postRoute,
    async (c) => {
      const { sid } = c.req.valid('param');
      const key = c.req.valid('header')['idempotency-key'] ?? null;
      const { message, files } = await readMessageBody(c);
      // 25 MB take a tenth of a second to read as JSON, and as much to check: others get their turn between.
      const isLong = Number(c.req.header('content-length') ?? Infinity) > quickBytesMax;
      if (isLong) await setImmediate();
      try {
        const { requestId } = c.var;
        const request = sendRequestOf({ subAccountId: sid, requestId }, message, files);
        if (isLong) await setImmediate();
        const result = await accept(request, key);
        if ('refused' in result)
          throw refusalError(result.refused, (n) => pathOf(n, request.files.length, files));
        const { send } = result.answer;
        const ids = { request_id: requestId, send_id: send.id, message_id: send.message_id };
        deps.log.info(ids, 'a message was accepted');
        return c.json(result.answer, 202);
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'invalid_request') throw error;
        // Only where the call fails anyway: one that is repeated has its first answer, whoever has left since.
        const found = await Promise.all(checks.map((check) => check(message, c)));
        const unsaid = found.flat().filter(({ path }) => !error.fields.some((field) => field.path === path));
        throw new ApiError(error.code, error.message, { fields: [...error.fields, ...unsaid] });
      }
    },
    [
      'malformed_multipart',
      'unknown_contact',
      'no_recipients',
      'from_not_allowed',
      'no_mailbox_connected',
      'no_provider',
      'idempotency_key_reused',
      'attachment_too_large',
      'attachment_type',
      'daily_limit',
    ],
    { readsOwnBody: true },
  );
  addRoute(api, getRoute, async (c) => {
    const { sid, id } = c.req.valid('param');
    const [message] = await readMessages(deps.db, sid, [id as MessageId]);
    if (message === undefined) throw notFound('message');
    return c.json(message, 200);
  });
  addRoute(
    api,
    deleteRoute,
    async (c) => {
      const { sid, id } = c.req.valid('param');
      if (!(await eraseOne(deps, sid, id as MessageId))) throw notFound('message');
      return c.body(null, 204);
    },
    ['being_sent'],
  );
  addMessageContent(api, deps);
}

/** The bytes of messages, and of what is attached to them. */
function addMessageContent(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    rawRoute,
    async (c) => {
      const { sid, id } = c.req.valid('param');
      const found = await findRawContent(deps.db, sid, id as MessageId);
      if (found === null) throw notFound('message');
      const { sha256, omitted } = found;
      if (sha256 === null) throw new ApiError('content_omitted', `Something of it is left out: ${omitted}.`);
      return sendContent(c, deps.blobs, { sha256, type: 'message/rfc822', name: `${id}.eml` });
    },
    ['range_not_satisfiable', 'content_omitted'],
  );
  addRoute(
    api,
    attachmentRoute,
    async (c) => {
      const { sid, id, n } = c.req.valid('param');
      const found = await findAttachmentContent(deps.db, sid, id as MessageId, n);
      if (found === null) throw notFound('attachment');
      const { sha256, omitted, ...shown } = found;
      if (sha256 === null)
        throw new ApiError('content_omitted', `Its content is not kept: ${omitted ?? ''}.`);
      return sendContent(c, deps.blobs, { sha256, ...shown });
    },
    ['range_not_satisfiable', 'content_omitted'],
  );
}

const unknownUser = { code: 'unknown_user', detail: 'The user is no member of this sub-account.' };
const unknownMessage = {
  code: 'unknown_message',
  detail: 'There is no such message to answer in this sub-account.',
};

function userCheck(deps: ApiDeps): FieldCheck {
  return fieldCheck('user_id', crmId, async (userId, c) => {
    const subAccountId = c.req.param('sid') ?? '';
    return (await findMember(deps.db, { subAccountId, userId })) === undefined ? unknownUser : null;
  });
}

function trackCheck(deps: ApiDeps): FieldCheck {
  return fieldCheck('track', trackSchema, ({ opens, clicks }) =>
    deps.trackingUrl === null && (opens || clicks) ? trackingNotConfigured : null,
  );
}

function parentCheck(deps: ApiDeps): FieldCheck {
  return fieldCheck('reply_to_message_id', gatewayId, async (id, c) => {
    const [parent] = await readMessages(deps.db, c.req.param('sid') ?? '', [id as MessageId]);
    return parent === undefined ? unknownMessage : null;
  });
}

/** A refusal in the API's words: a field that names nobody is that field's error. */
function refusalError(
  { code, detail, files = [], retryAt }: Refusal,
  path: (position: number) => string,
): ApiError {
  if (code === 'unknown_user') return invalidField({ in: 'body', path: 'user_id', code, detail });
  if (code === 'unknown_message') {
    return invalidField({ in: 'body', path: 'reply_to_message_id', code, detail });
  }
  if (code === trackingNotConfigured.code) {
    return invalidField({ in: 'body', path: 'track', ...trackingNotConfigured });
  }
  const fields = files.map(({ position, ...file }) => ({
    in: 'body' as const,
    path: path(position),
    ...file,
  }));
  return new ApiError(code, detail, { fields, retryAt });
}

const tags = ['Conversations'];
const path = '/v1/sub-accounts/{sid}/messages';
const messageParam = subAccountParam.extend({ id: gatewayId.describe('`msg_…`') });

const postRoute = defineRoute({
  method: 'post',
  path,
  tags: ['Sends'],
  summary: 'Send a message',
  description:
    'JSON, or `multipart/form-data` with that JSON in the part `message` and every other part a file to attach. When ' +
    'it is answered, the message is stored and will be sent, whatever happens to the gateway. With an ' +
    '`Idempotency-Key` a repeated call gets the first answer, and nothing is sent twice; repeat it after a time-out.',
  request: {
    params: subAccountParam,
    headers: z.object({
      'idempotency-key': plainText(255)
        .min(1)
        .optional()
        .describe(
          'A name that you choose for this message, kept for days; the same with another body is an error.',
        ),
    }),
    body: {
      required: true,
      content: {
        'application/json': { schema: messageInputSchema },
        'multipart/form-data': {
          schema: z
            .object({ message: messageInputSchema })
            .catchall(z.string().meta({ format: 'binary' }))
            .meta({ id: 'MessageForm', description: 'The JSON of the message, and files under any names.' }),
        },
      },
    },
  },
  responses: {
    202: jsonResponse(sendAnswerSchema, 'It is accepted: stored, and on its way when its turn has come.'),
  },
});

const getRoute = defineRoute({
  method: 'get',
  path: `${path}/{id}`,
  tags,
  summary: 'Show a message',
  request: { params: messageParam },
  responses: { 200: jsonResponse(messageSchema, 'The message.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path: `${path}/{id}`,
  tags,
  summary: 'Erase a message',
  description:
    'C7: the message goes with its attachments and its bytes, and with what earlier events showed of it; no later sync ' +
    'brings it back. One that is `queued` or `held` is cancelled. Webhooks hear `message.updated` with `erased_at` and ' +
    'without content. In the mailbox nothing changes.',
  request: { params: messageParam },
  responses: { 204: { description: 'It is erased.' } },
});

const binary = z.string().meta({ format: 'binary' });
const ranges = {
  206: { description: 'The range that was asked for.', content: { '*/*': { schema: binary } } },
  304: { description: 'The caller has it already.' },
};

const rawRoute = defineRoute({
  method: 'get',
  path: `${path}/{id}/raw`,
  tags,
  summary: 'The bytes of a message',
  description:
    'As they were sent or received (RFC 5322); `content_omitted` where something of it is left out (L1, L2). Takes `Range`.',
  request: { params: messageParam },
  responses: {
    200: { description: 'All of it.', content: { 'message/rfc822': { schema: binary } } },
    ...ranges,
  },
});

const attachmentRoute = defineRoute({
  method: 'get',
  path: `${path}/{id}/attachments/{n}`,
  tags,
  summary: 'The content of an attachment',
  description: 'Always as a download, since a stranger wrote it. Takes `Range`.',
  request: {
    params: messageParam.extend({
      n: z.coerce.number().int().min(1).max(1_000_000).describe('Its number in the message, from 1.'),
    }),
  },
  responses: {
    200: { description: 'All of it, of its own type.', content: { '*/*': { schema: binary } } },
    ...ranges,
  },
});

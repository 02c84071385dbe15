import { z } from 'zod';
import { askAgain } from '../filing/ask-again.ts';
import type { NotAsked } from '../filing/ask-again.ts';
import { publicDecision } from '../filing/because.ts';
import { explain } from '../filing/history.ts';
import { hashOfAddress, hashOfMessageId } from '../filing/hashes.ts';
import { reasonCodes } from '../filing/rules.ts';
import type { MessageId } from '../lib/id.ts';
import { messageIdOf } from '../message/message-id.ts';
import { listDecisions } from '../store/decisions.ts';
import { findDecidedPlace } from '../store/judged-again.ts';
import type { DecidedPlace } from '../store/judged-again.ts';
import { ApiError, notFound } from './errors.ts';
import { gatewayId, plainText, subAccountParam, timeField } from './fields.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** Why a message is here, and why another is not (T1). */
export function addDecisions(api: Api, deps: ApiDeps): void {
  addRoute(api, listRoute, async (c) => {
    const { cursor, limit, ...query } = c.req.valid('query');
    const { internet_message_id: messageId } = query;
    const found = await listDecisions(
      deps.db,
      {
        subAccountId: c.req.valid('param').sid,
        idHash: messageId === undefined ? null : hashOfMessageId(deps.secretBox, messageId),
        addressHash: query.address === undefined ? null : hashOfAddress(deps.secretBox, query.address),
        connectionId: query.connection_id ?? null,
        outcome: query.outcome ?? null,
        since: query.since ?? null,
      },
      { after: cursor?.[0] ?? null, limit: limit + 1 },
    );
    return c.json(
      pageOf(found, limit, (decision) => [decision.id], publicDecision),
      200,
    );
  });
  addRoute(
    api,
    storeRoute,
    async (c) => {
      const { sid, id } = c.req.valid('param');
      const decision = await findDecidedPlace(deps.db, { subAccountId: sid, id });
      if (decision === null) throw notFound('decision');
      await judgeAgain(deps, sid, decision);
      return c.body(null, 202);
    },
    ['already_decided', 'not_connected', 'not_kept'],
  );
  addRoute(api, explainRoute, async (c) => {
    const { sid, id } = c.req.valid('param');
    const explained = await explain(deps.db, sid, id as MessageId);
    if (explained === null) throw notFound('message');
    const decisions = explained.history.decisions.map(publicDecision);
    return c.json({ ...explained, history: { ...explained.history, decisions } }, 200);
  });
}

async function judgeAgain(deps: ApiDeps, subAccountId: string, decision: DecidedPlace): Promise<void> {
  const answer = await askAgain(deps, subAccountId, decision);
  if (answer === 'asked') return;
  const members = { outcome: decision.outcome, replaced_by: decision.replacedBy };
  throw new ApiError(answer, notAsked[answer], answer === 'already_decided' ? { members } : {});
}

const notAsked: Readonly<Record<NotAsked, string>> = {
  already_decided: 'It is neither left out nor failed, was judged again, or was erased.',
  not_connected: 'The connection through which it was seen has ended.',
  not_kept: 'It came to a logging address, and was dropped: it must be sent there again.',
};

const outcome = z.enum(['stored', 'skipped', 'held', 'failed']);

const decisionSchema = z
  .strictObject({
    id: z.string().describe('`dec_…`'),
    sub_account_id: z.string().describe("The CRM's id."),
    connection_id: z.string().nullable().describe('The connection for which it was judged.'),
    mailbox_id: z.string().nullable().describe('The mailbox in which it was seen.'),
    place: z
      .strictObject({
        folder_id: z.string().describe('`fld_…`'),
        folder: z.string().nullable().describe("The folder's name in the mailbox."),
        uid_validity: z.number().describe('UIDVALIDITY of the folder (RFC 9051).'),
        uid: z.number().describe('UID of the message in it.'),
      })
      .nullable()
      .describe('Where it was seen; null for what the CRM sent, and what came to a logging address.'),
    outcome: outcome.describe('What became of it.'),
    reason: z.string().describe(
      `Why: ${Object.entries(reasonCodes)
        .map(([code, text]) => `\`${code}\` (${text})`)
        .join('; ')}.`,
    ),
    steps: z
      .array(
        z.strictObject({
          rule: z.string().describe('Identifier of the rule.'),
          because: z.string().describe('What it said; nothing of the content of the mail.'),
        }),
      )
      .describe('The rules that were asked, in order; the last one answered.'),
    message_id: z.string().nullable().describe('The message that it is part of; null where it was left out.'),
    intake_id: z
      .string()
      .nullable()
      .describe(
        '`spl_…`: what came to a logging address; null: it was seen in a mailbox, or sent from the CRM.',
      ),
    errand_id: z
      .string()
      .nullable()
      .describe('What had it judged again: a backfill, an audit, or another errand; null: it was new.'),
    replaced_by: z
      .string()
      .nullable()
      .describe('The decision that holds now, where it was judged again and came out otherwise.'),
    erased_at: timeField.nullable().describe('When that message was erased; null where it was not.'),
    decided_at: timeField.describe('When it was judged.'),
  })
  .meta({ id: 'Decision', description: 'What the rules said of one sighting of a message.' });

const historySchema = z
  .looseObject({
    message_id: z.string().describe('`msg_…`'),
    story: z.array(z.string()).describe('The same in sentences, in the order in which it happened.'),
    thread: z
      .looseObject({})
      .nullable()
      .describe('Its thread, as `…/threads/{id}` shows it; null where the message was erased.'),
    send: z
      .looseObject({})
      .nullable()
      .describe('Its send with every attempt; null where the CRM did not send it.'),
    history: z
      .looseObject({
        decisions: z.array(decisionSchema).describe('Every decision that led to it.'),
        sightings: z.array(z.looseObject({})).describe('Every place in which it was seen.'),
        keys: z.array(z.string()).describe('Every name that it is known by.'),
        events: z
          .array(z.looseObject({}))
          .describe('What the CRM was told, with the deliveries to each webhook.'),
      })
      .describe('What is stored about how it came to be here.'),
  })
  .meta({ id: 'Explained', description: 'The whole story of a message.' });

const messageIdField = plainText(998).transform((written, context) => {
  const id = messageIdOf(written.includes('<') ? written : `<${written.trim()}>`);
  if (id !== null) return id;
  const message = 'This is no Message-ID.';
  context.addIssue({ code: 'custom', params: { code: 'invalid_message_id' }, message });
  return z.NEVER;
});

const tags = ['Decisions'];

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/sub-accounts/{sid}/decisions',
  tags,
  summary: 'Why a message is here, or is not',
  description:
    'One row for each time that a message was judged. What was left out leaves no content: it is found by the exact ' +
    'Message-ID or address, of which only keyed hashes are stored.',
  request: {
    params: subAccountParam,
    query: pageQuery.extend({
      internet_message_id: messageIdField.optional().describe('A Message-ID, with or without brackets.'),
      address: plainText(320).optional().describe('An address on the other side.'),
      connection_id: gatewayId.optional().describe('Only those of one connection.'),
      outcome: outcome.optional().describe('Only those that ended so.'),
      since: timeField.optional().describe('Only those made at this time or later.'),
    }),
  },
  responses: {
    200: jsonResponse(pageSchema(decisionSchema, 'DecisionPage'), 'Decisions, the newest first.'),
  },
});

const storeRoute = defineRoute({
  method: 'post',
  path: '/v1/sub-accounts/{sid}/decisions/{id}/store',
  tags,
  summary: 'Store by hand, or try again',
  description:
    'One that was left out is fetched from the mailbox and stored, if a contact is on it or it belongs to a thread; ' +
    'a draft, junk, mail among users and what is on a never-log list is not. By itself this makes no thread sync. ' +
    'One that failed is judged again by the rules. A new decision for the same place says what came of it.',
  request: { params: subAccountParam.extend({ id: gatewayId.describe('The decision, `dec_…`.') }) },
  responses: { 202: { description: 'It will be done.' } },
});

const explainRoute = defineRoute({
  method: 'get',
  path: '/v1/sub-accounts/{sid}/messages/{id}/explain',
  tags,
  summary: 'Explain a message',
  description:
    'The sightings, the rule, the facts that it used, the effects, and the deliveries to the CRM. Of a message that ' +
    'was erased: when, and what was decided and told of it, without content.',
  request: { params: subAccountParam.extend({ id: gatewayId.describe('The message, `msg_…`.') }) },
  responses: { 200: jsonResponse(historySchema, 'Its story.') },
});

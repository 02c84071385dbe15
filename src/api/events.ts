import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import type { Db } from '../store/database.ts';
import type { PublishedEvent } from '../store/deliveries.ts';
import { idFrom } from '../lib/id.ts';
import { readDroppedEvents } from '../store/event-retention.ts';
import { isKeyInForce } from '../store/keys.ts';
import { eventTypes, findSequence, lastSequence, listEvents } from '../store/events.ts';
import { followEvents } from '../webhook/follow.ts';
import { publicEvent } from '../webhook/payload.ts';
import { ApiError, invalidField } from './errors.ts';
import type { FieldError } from './errors.ts';
import { crmId, plainText, timeField } from './fields.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, jsonResponse } from './route.ts';
import type { Api, ApiDeps, ApiEnv } from './route.ts';

/** `/v1/events`: everything that happened, to be read by number and to be followed (W2). */
export function addEvents(api: Api, deps: ApiDeps): void {
  addRoute(api, listRoute, async (c) => {
    const { after, cursor, limit, types, sub_account_id: asked } = c.req.valid('query');
    const given = cursor?.[0] ?? after;
    const start =
      given === undefined ? '0' : await sequenceOf(deps.db, given, c.var.key.subAccountId, 'query', 'after');
    const found = canSee(c, asked)
      ? await listEvents(deps.db, {
          after: start,
          types,
          subAccountId: c.var.key.subAccountId ?? asked ?? null,
          limit: limit + 1,
        })
      : [];
    return c.json(
      pageOf(found, limit, (event) => [event.sequence], shown),
      200,
    );
  });
  addRoute(api, streamRoute, async (c) => {
    const { after, types, sub_account_id: asked } = c.req.valid('query');
    const own = c.var.key.subAccountId;
    const { 'last-event-id': lastEventId } = c.req.valid('header');
    const start =
      lastEventId !== undefined
        ? await sequenceOf(deps.db, lastEventId, own, 'header', 'last-event-id')
        : after !== undefined
          ? await sequenceOf(deps.db, after, own, 'query', 'after')
          : await lastSequence(deps.db);
    const query = { after: start, types: canSee(c, asked) ? types : [], subAccountId: own ?? asked ?? null };
    return streamSSE(c, async (stream) => {
      const left = new AbortController();
      stream.onAbort(() => left.abort());
      const stopping = (c.env as Partial<ApiEnv>['Bindings'])?.stopping;
      const stop = stopping === undefined ? left.signal : AbortSignal.any([left.signal, stopping]);
      // Each write waits until the reader has room: a slow one slows down its own pages, nothing else.
      // A number without data moves a browser's Last-Event-ID, so that it also comes back to the right
      // place when it has had no event yet.
      await stream.write(`retry: ${retryMs}\nid: ${start}\n\n`);
      for await (const { events, after: position } of followEvents(deps, query, stop)) {
        if (!(await isKeyInForce(deps.db, c.var.key.id))) return;
        for (const event of events.map(publicEvent)) {
          if (stop.aborted) return;
          await stream.writeSSE({
            id: String(event.sequence),
            event: event.type,
            data: JSON.stringify(event),
          });
        }
        if (events.length === 0) await stream.write(`: nothing new\nid: ${position}\n\n`);
      }
    });
  });
}

/** A browser that lost the stream comes back after so long. */
const retryMs = 2_000;

/** Another tenant's log is as empty as that of a sub-account that is not there. */
function canSee(c: Context<ApiEnv>, asked: string | undefined): boolean {
  const own = c.var.key.subAccountId;
  return own === null || asked === undefined || asked === own;
}

/**
 * The number that an event's id or a number stands for. Throws where events after it were dropped as past: whoever
 * went on from there would never hear of them. From 0 on everything that is kept is read.
 */
async function sequenceOf(
  db: Db,
  given: string,
  subAccountId: string | null,
  place: FieldError['in'],
  path: string,
): Promise<string> {
  if (/^0+$/.test(given)) return '0';
  const isNumber = /^\d{1,18}$/.test(given);
  const sequence = isNumber ? given : await findSequence(db, given, subAccountId);
  const dropped = await readDroppedEvents(db);
  const isPast =
    dropped !== undefined &&
    (sequence === undefined
      ? given.startsWith('evt_') && given < idFrom('evt', dropped.since.getTime())
      : BigInt(sequence) < BigInt(dropped.sequence));
  if (isPast) {
    const since = dropped.since.toISOString();
    const words = `Events from before ${since} are not kept. What was missed can be read from the objects themselves; after=0 goes on with the oldest event there is.`;
    throw new ApiError('events_gone', words, { members: { kept_since: since } });
  }
  if (sequence !== undefined) return sequence;
  throw invalidField({ in: place, path, code: 'unknown_event', detail: 'There is no such event.' });
}

const typeField = z.enum(eventTypes);

const typesQuery = z
  .union([z.string(), z.array(z.string())])
  .optional()
  .describe(`Only these types, separated by commas: ${eventTypes.map((type) => `\`${type}\``).join(', ')}.`)
  .transform((given, context) => {
    if (given === undefined) return null;
    const result = z.array(typeField).safeParse([given].flat().flatMap((list) => list.split(',')));
    if (result.success) return result.data;
    context.addIssue({
      code: 'custom',
      params: { code: 'unknown_type' },
      message: 'There is no such type of event.',
    });
    return z.NEVER;
  });

const eventSchema = z
  .strictObject({
    id: z.string().describe('`evt_…`, the same at every delivery of the event.'),
    type: typeField.describe('What happened.'),
    created_at: timeField.describe('When it happened.'),
    sub_account_id: z.string().nullable().describe('Where; null: in the whole installation.'),
    sequence: z
      .int()
      .describe(
        'Its place in the log. Who has read up to a number has read all below it; some are never given.',
      ),
    data: z
      .looseObject({})
      .describe(
        'The object, as it was then, in the shape in which the API shows it. Of a message, a text over 64 KiB is cut, ' +
          'HTML over 64 KiB is null, and `bodies_cut` names them. A message with `erased_at` was erased: what held content is empty.',
      ),
  })
  .meta({ id: 'Event', description: 'Something that happened.' });

const afterField = plainText(64)
  .optional()
  .describe('The number or the id of an event: only what came after it.');
const subAccountQuery = crmId.optional().describe('Only of this sub-account.');
const tags = ['Events'];

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/events',
  tags,
  summary: 'Read the log of events',
  description:
    'Oldest first. To keep up, ask with `after` set to the last event that was read; nothing can turn up before it. Events ' +
    'are kept for `TWOWAY_KEEP_EVENTS_DAYS`; where some after `after` are not any more, the answer is 410 `events_gone`.',
  request: {
    query: pageQuery.extend({ after: afterField, types: typesQuery, sub_account_id: subAccountQuery }),
  },
  responses: { 200: jsonResponse(pageSchema(eventSchema, 'EventPage'), 'Events, oldest first.') },
});

const streamRoute = defineRoute({
  method: 'get',
  path: '/v1/events/stream',
  tags,
  summary: 'Follow the log of events',
  description:
    'Server-sent events: `id` is the number, `event` the type, `data` the event as JSON. It starts after ' +
    '`Last-Event-ID`, or after `after`, or now; nothing is missed or doubled between what was there and what comes. A lone `id` tells how far it has come, ' +
    'at the start and every 15 seconds in which nothing happens. It ends when its key is revoked.',
  request: {
    query: z.object({ after: afterField, types: typesQuery, sub_account_id: subAccountQuery }),
    headers: z.object({
      'last-event-id': plainText(64).optional().describe('What a browser sends when it comes back.'),
    }),
  },
  responses: {
    200: { description: 'The stream.', content: { 'text/event-stream': { schema: z.string() } } },
  },
});

function shown(event: PublishedEvent): z.output<typeof eventSchema> {
  const { data, ...rest } = publicEvent(event);
  return { ...rest, data: { ...data } };
}

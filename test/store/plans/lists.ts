import { rows } from '../../../src/store/database.ts';
import type { Db } from '../../../src/store/database.ts';
import { countMax } from '../../../src/store/overview.ts';
import { timestamp } from '../../../src/store/timestamp.ts';
import type { ApiUnderTest } from '../../api/support.ts';
import { watch } from './watch.ts';
import type { UpTo, Watched, Work } from './watch.ts';

/** A question to a list route of the API: its query, and how it may read more than a page needs. */
export type ListQuestion = {
  /** As in the OpenAPI document. */
  route: string;
  /** What the parameters of its path are, and its query. */
  path: string;
  upTo?: UpTo;
};

/** What has a fiftieth of all mail, and times and numbers near the end of it. */
export type Heavy = {
  connectionId: string;
  conversationId: string;
  webhookId: string;
  recent: string;
  lastEvent: number;
};

/** Of a database that was generated. */
export async function findHeavy(db: Db): Promise<Heavy> {
  const [heavy] = await rows<Heavy>(
    db,
    `select (select min(id) from connections) as "connectionId", (select min(id) from conversations) as "conversationId",
            (select min(id) from webhooks) as "webhookId", ${timestamp("(now() - interval '1 day')")} as recent,
            (select max(sequence)::int from events) as "lastEvent"`,
  );
  if (heavy === undefined) throw new Error('a select without a from clause gave no row');
  return heavy;
}

const s1 = '/v1/sub-accounts/s1';
const decisions = { route: '/v1/sub-accounts/{sid}/decisions' };
const conversations = { route: '/v1/sub-accounts/{sid}/conversations' };
const contacts = { route: '/v1/sub-accounts/{sid}/contacts' };
const held = { route: '/v1/sub-accounts/{sid}/held' };
const connections = { route: '/v1/connections' };
const deliveries = { route: '/v1/webhooks/{wid}/deliveries' };
const events = { route: '/v1/events' };

/** A fiftieth of all messages are of the contact that has most, and of its mailbox. */
const wholeAddress: UpTo = {
  most: (messages) => messages / 20,
  because: 'all decisions about one address are put in their order',
};

const counted: UpTo = {
  most: (messages) => Math.max(500, Math.min(countMax, messages / 2_000)),
  because: 'what waits at each webhook of the page is counted, up to so many',
};

const wholeMailbox: UpTo = {
  most: (messages) => messages / 20,
  because: 'all that one mailbox has is looked through for its threads',
};

/** Of each thread that the page may begin with, as much as a page shows. */
export const threadsOfPage: UpTo = {
  most: (messages) => Math.max(51 * 51, messages / 3_500 + 100),
  because:
    'each thread of the contact is asked for its newest message, and of the newest threads a page is read',
};

/** Every list route, with each of its filters. */
export function listQuestions(heavy: Heavy): ListQuestion[] {
  const of = (route: { route: string }, path: string, more: Partial<ListQuestion> = {}) => ({
    ...route,
    path,
    ...more,
  });
  const days = encodeURIComponent(heavy.recent);
  return [
    of({ route: '/v1/sub-accounts/{sid}/users' }, `${s1}/users`),
    of({ route: '/v1/keys' }, '/v1/keys'),
    of({ route: '/v1/webhooks' }, '/v1/webhooks', { upTo: counted }),
    of(contacts, `${s1}/contacts`),
    of(contacts, `${s1}/contacts?email=contact-0@customer.example`),
    of(conversations, `${s1}/conversations`),
    of(conversations, `${s1}/conversations?contact_id=c0`),
    of(conversations, `${s1}/conversations?updated_after=${days}`),
    of(conversations, `${s1}/conversations?user_id=u0`, { upTo: wholeMailbox }),
    of(
      { route: '/v1/sub-accounts/{sid}/conversations/{id}/messages' },
      `${s1}/conversations/${heavy.conversationId}/messages`,
      { upTo: threadsOfPage },
    ),
    of(held, `${s1}/held`),
    of(held, `${s1}/held?user_id=u0`),
    of(connections, '/v1/connections'),
    of(connections, '/v1/connections?state=live'),
    of(connections, '/v1/connections?sub_account_id=s1'),
    of(decisions, `${s1}/decisions`),
    of(decisions, `${s1}/decisions?outcome=stored`),
    of(decisions, `${s1}/decisions?outcome=skipped`),
    of(decisions, `${s1}/decisions?outcome=failed`),
    of(decisions, `${s1}/decisions?outcome=held`),
    of(decisions, `${s1}/decisions?since=${days}`),
    of(decisions, `${s1}/decisions?internet_message_id=m77@mail.example`),
    of(decisions, `${s1}/decisions?address=contact-0@customer.example`, { upTo: wholeAddress }),
    of(decisions, `${s1}/decisions?connection_id=${heavy.connectionId}`),
    of(deliveries, `/v1/webhooks/${heavy.webhookId}/deliveries`, { upTo: counted }),
    of(deliveries, `/v1/webhooks/${heavy.webhookId}/deliveries?state=parked`, { upTo: counted }),
    of(events, '/v1/events'),
    of(events, '/v1/events?sub_account_id=s1'),
    of(events, `/v1/events?after=${heavy.lastEvent - 100}`),
    of(events, '/v1/events?types=contact.claimed'),
    of(events, '/v1/events?sub_account_id=s1&types=contact.claimed,message.updated'),
  ];
}

/** What a page read, of its statement that read most. */
export type PageWork = { path: string; work: Work; sql: string };

/** Asks one question, and the same behind the first page where there is more; what each took. */
export async function askList(
  t: Pick<ApiUnderTest, 'call'>,
  watched: Watched,
  path: string,
): Promise<PageWork[]> {
  const found: PageWork[] = [];
  let next: string | null = path;
  for (let page = 0; next !== null && page < 3; page += 1) {
    let body: Record<string, unknown> = {};
    const here: string = next;
    const read = await watch(watched, async () => {
      const answer = await t.call('GET', here);
      if (answer.status !== 200) throw new Error(`${here}: ${answer.status} ${JSON.stringify(answer.body)}`);
      ({ body } = answer);
    });
    found.push(...read.map((statement) => ({ ...statement, path: here })));
    const cursor = body['next_cursor'];
    next =
      typeof cursor === 'string'
        ? `${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(cursor)}`
        : null;
  }
  return found;
}

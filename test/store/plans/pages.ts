import { decisionsCountedMax } from '../../../src/store/connection-list.ts';
import { rows } from '../../../src/store/database.ts';
import type { Db } from '../../../src/store/database.ts';
import { countMax } from '../../../src/store/overview.ts';
import { threadsOfPage } from './lists.ts';
import type { Heavy } from './lists.ts';
import type { UpTo } from './watch.ts';

/** A page of the console with its filters. */
export type PageQuestion = { path: string; upTo?: UpTo };

/** Each page says what needs a person; connections, of which there are as many as people, are counted by their state. */
const attention: UpTo = {
  most: (messages) => Math.max(500, Math.min(countMax, messages / 400)),
  because: 'what needs a person is counted, up to so many, and each state of connections',
};

/** The pages of the administrators that show lists, or go by what is in them; each also far behind the first page. */
export async function pageQuestions(db: Db, heavy: Heavy): Promise<PageQuestion[]> {
  const [far] = await rows<{
    held: string;
    send: string;
    delivery: string;
    place: string;
    conversation: string;
  }>(
    db,
    `select (select id from intake_spool where state = 'held' order by id limit 1 offset 40) as held,
            (select id from sends order by id limit 1 offset 4000) as send,
            (select seq::text from deliveries where webhook_id = :webhookId order by seq limit 1 offset 1000) as delivery,
            (select '9.' || id from connections where state = 'live' order by id limit 1 offset 100) as place,
            (select floor(extract(epoch from updated_at) * 1000) || '.' || id from conversations order by updated_at limit 1 offset 4000) as conversation`,
    heavy,
  );
  if (far === undefined) throw new Error('a select without a from clause gave no row');
  const webhook = `/admin/webhooks/${heavy.webhookId}`;
  const paths = [
    '/admin/held',
    `/admin/held?older=${far.held}`,
    '/admin/sends',
    `/admin/sends?older=${far.send}`,
    `/admin/sends?newer=${far.send}`,
    '/admin/sends?state=sent',
    '/admin/sends?state=failed',
    '/admin/sends?state=failed&sub_account=s1',
    '/admin/sends?sub_account=s1&user=u0',
    '/admin/webhooks',
    webhook,
    `${webhook}?state=parked`,
    `${webhook}?older=${far.delivery}`,
    '/admin/connections',
    `/admin/connections?after=${far.place}`,
    '/admin/connections?state=reauth_required',
    '/admin/connections?provider=gmail&sub_account=s1',
    '/admin/connections?q=user-77',
    '/admin/conversations',
    `/admin/conversations?after=${far.conversation}`,
    '/admin/conversations?q=Contact+77',
    '/admin/conversations?q=contact-77',
    '/admin/why?q=m77@mail.example',
    '/admin/why?q=contact-0@customer.example',
    '/admin/keys',
    '/admin/settings',
    '/admin/settings/s1',
    '/admin/audit',
  ];
  return [
    {
      path: '/admin',
      upTo: { most: () => 7 * countMax, because: 'it counts up to so many of each of seven states' },
    },
    {
      path: `/admin/conversations/${heavy.conversationId}`,
      upTo: {
        most: (messages) => Math.max(attention.most(messages), threadsOfPage.most(messages)),
        because: `${attention.because}; ${threadsOfPage.because}`,
      },
    },
    {
      path: `/admin/connections/${heavy.connectionId}`,
      upTo: {
        most: (messages) => Math.max(500, Math.min(decisionsCountedMax, messages / 400)),
        because: 'the decisions of its last days are counted, up to so many',
      },
    },
    ...paths.map((path) => ({ path, upTo: attention })),
  ];
}

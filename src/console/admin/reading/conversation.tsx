import type { Context, Hono } from 'hono';
import type { ConversationId } from '../../../lib/id.ts';
import { findConversation } from '../../../store/conversation-list.ts';
import { listMessageHeads } from '../../../store/public-message.ts';
import { hrefOf, sayingPage, Value } from '../../page.tsx';
import { Empty, Pager } from '../../parts.tsx';
import { words } from '../../texts/texts.ts';
import { adminPage, withAdmin } from '../app.tsx';
import type { AdminPages } from '../app.tsx';
import { Fact, hrefWith } from './list.tsx';
import { Message } from './message.tsx';

const path = '/admin/conversations';

/** Messages of one page of a conversation. */
const shownMax = 20;

/** `/admin/conversations/{id}`: one conversation, its newest messages last, older ones behind a link. */
export function addConversation(app: Hono, pages: AdminPages): void {
  const { db, site } = pages;
  app.get(`${path}/:id`, (c) =>
    withAdmin(c, pages, async (session) => {
      const id = c.req.param('id') as ConversationId;
      const conversation = await findConversation(db, id);
      if (conversation === null) return sayingPage('not_found', 404);
      const { subAccountId, contact } = conversation;
      const before = placeOf(c);
      const found = await listMessageHeads(
        db,
        { subAccountId, conversationId: id },
        { after: before, limit: shownMax + 1, oldestFirst: false },
      );
      const shown = found.slice(0, shownMax);
      const oldest = shown.at(-1);
      const at = `${path}/${id}`;
      return adminPage(pages, session, {
        part: 'conversations',
        title: contact.name === '' ? (contact.addresses[0] ?? contact.id) : contact.name,
        list: { href: hrefOf(site, path), label: words('nav.conversations') },
        body: (
          <>
            <dl class="facts whose">
              <Fact name={words('conv.contact')}>
                <Value of={contact.id} />
                {contact.addresses.map((address) => (
                  <>
                    {', '}
                    <Value of={address} />
                  </>
                ))}
              </Fact>
              <Fact name={words('conn.sub_account')}>
                <Value of={subAccountId} />
              </Fact>
            </dl>
            <Pager
              first={before === null ? null : hrefOf(site, at)}
              next={
                found.length > shownMax && oldest !== undefined
                  ? hrefWith(site, at, { before: `${Date.parse(oldest.date)}.${oldest.id}` })
                  : null
              }
              newer={null}
            />
            {shown.length === 0 && (
              <Empty>
                <p>{words('conv.no_messages')}</p>
              </Empty>
            )}
            <ol class="messages">
              {shown.toReversed().map((message, index) => (
                <Message
                  site={site}
                  message={message}
                  // Who opens a conversation wants to read what is new; the rest is there by its first line.
                  isOpen={index >= shown.length - 3 || !message.read}
                  subjectBefore={shown.toReversed()[index - 1]?.subject ?? null}
                />
              ))}
            </ol>
          </>
        ),
      });
    }),
  );
}

/** `<ms>.<id>`; whatever else stands there begins with the newest. */
function placeOf(c: Context): { date: string; id: string } | null {
  const [, ms, id] = /^(-?\d{1,14})\.(msg_[\w-]{1,40})$/.exec(c.req.query('before') ?? '') ?? [];
  return ms === undefined || id === undefined ? null : { date: new Date(Number(ms)).toISOString(), id };
}

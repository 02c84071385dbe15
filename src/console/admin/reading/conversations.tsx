import type { Context, Hono } from 'hono';
import type { ConversationId } from '../../../lib/id.ts';
import { listConversationsOfAll } from '../../../store/conversation-list.ts';
import type { ConversationFilter, ListedConversation } from '../../../store/conversation-list.ts';
import { hrefOf, Value } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Empty, Field, Pager, Time } from '../../parts.tsx';
import { words } from '../../texts/texts.ts';
import { adminPage, withAdmin } from '../app.tsx';
import type { AdminPages } from '../app.tsx';
import { addConversation } from './conversation.tsx';
import { cutPage, hrefWith, pageRows, typed } from './list.tsx';
import { addContent } from './content.tsx';

const path = '/admin/conversations';

/** `/admin/conversations`: what is stored, as a mail program shows it. */
export function addConversations(app: Hono, pages: AdminPages): void {
  app.get(path, (c) =>
    withAdmin(c, pages, async (session) => {
      const filter = { subAccountId: typed(c.req.query('sub_account')), search: typed(c.req.query('q')) };
      const page = { after: placeOf(c), limit: pageRows + 1 };
      const found = await listConversationsOfAll(pages.db, filter, page);
      return adminPage(pages, session, {
        part: 'conversations',
        title: words('nav.conversations'),
        body: <List site={pages.site} filter={filter} found={found} at={c.req.query('after')} />,
      });
    }),
  );
  addConversation(app, pages);
  addContent(app, pages);
}

/** `<ms>.<id>`; whatever else stands there begins at the start. */
function placeOf(c: Context): { updatedAt: string; id: ConversationId } | null {
  const [, ms, id] = /^(\d{1,14})\.(cnv_[\w-]{1,40})$/.exec(c.req.query('after') ?? '') ?? [];
  return ms === undefined || id === undefined
    ? null
    : { updatedAt: new Date(Number(ms)).toISOString(), id: id as ConversationId };
}

function List(props: {
  site: Site;
  filter: ConversationFilter;
  found: readonly ListedConversation[];
  at: string | undefined;
}) {
  const { site, filter } = props;
  const { shown, last } = cutPage(props.found);
  const asked = { sub_account: filter.subAccountId, q: filter.search };
  const isAsked = props.at !== undefined || Object.values(asked).some((value) => value !== null);
  return (
    <>
      <form class="filters" method="get" action={hrefOf(site, path)}>
        <Field
          name="q"
          type="search"
          label={words('conv.search')}
          value={filter.search ?? ''}
          hint={words('conv.search_hint')}
        />
        <Field name="sub_account" label={words('conn.sub_account')} value={filter.subAccountId ?? ''} />
        <button>{words('page.search')}</button>
      </form>
      {shown.length === 0 ? (
        <Empty>
          <p>{words(isAsked ? 'conv.none_found' : 'conv.none')}</p>
          <p>
            <a href={hrefOf(site, isAsked ? path : '/admin/connections')}>
              {words(isAsked ? 'conv.show_all' : 'conv.see_connections')}
            </a>
          </p>
        </Empty>
      ) : (
        <ul class="conversations">
          {shown.map((conversation) => (
            <Row site={site} conversation={conversation} />
          ))}
        </ul>
      )}
      <Pager
        first={props.at === undefined ? null : hrefWith(site, path, asked)}
        next={
          last === null
            ? null
            : hrefWith(site, path, { ...asked, after: `${Date.parse(last.updated_at)}.${last.id}` })
        }
      />
    </>
  );
}

function Row({ site, conversation }: { site: Site; conversation: ListedConversation }) {
  const { contact, last } = conversation;
  return (
    <li>
      <a href={hrefOf(site, `${path}/${conversation.id}`)}>
        <span class="who-with">
          <Value of={contact.name === '' ? (contact.address ?? contact.id) : contact.name} />
          {contact.address !== null && contact.name !== '' && (
            <small>
              <Value of={contact.address} />
            </small>
          )}
        </span>
        <span class="last-mail">
          {last === null ? (
            words('conv.no_messages')
          ) : (
            <>
              <span>
                {last.direction === 'outbound' && <span class="soft">{words('conv.you')} </span>}
                <Value of={last.subject === '' ? words('conv.no_subject') : last.subject} />
              </span>
              <small>
                <bdi>{last.text.replaceAll(/\s+/g, ' ')}</bdi>
              </small>
            </>
          )}
        </span>
        <span class="when">
          <Time at={last?.date ?? conversation.updated_at} short />
          <small>
            <Value of={conversation.sub_account_id} />
          </small>
        </span>
      </a>
    </li>
  );
}

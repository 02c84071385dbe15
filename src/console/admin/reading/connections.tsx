import type { Context, Hono } from 'hono';
import type { ConnectionId } from '../../../lib/id.ts';
import { connectionStates } from '../../../provider/connection-states.ts';
import type { ConnectionState } from '../../../provider/connection-states.ts';
import type { ProviderName } from '../../../provider/providers.ts';
import { countConnectionsByState, listConnectionsByUrgency } from '../../../store/connection-list.ts';
import type { ConnectionFilter, ConnectionPlace, ListedConnection } from '../../../store/connection-list.ts';
import { hrefOf, Value } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Empty, Field, Pager, StateBadge, Table, Time } from '../../parts.tsx';
import { findText, number, words } from '../../texts/texts.ts';
import { adminPage, withAdmin } from '../app.tsx';
import type { AdminPages } from '../app.tsx';
import { addConnection } from './connection.tsx';
import { Choice, cutPage, hrefWith, pageRows, typed } from './list.tsx';

const path = '/admin/connections';

/** `/admin/connections`: how the mailboxes do, those first that need a person. */
export function addConnections(app: Hono, pages: AdminPages): void {
  app.get(path, (c) =>
    withAdmin(c, pages, async (session) => {
      const filter = filterOf(c);
      const [counts, found] = await Promise.all([
        countConnectionsByState(pages.db),
        listConnectionsByUrgency(pages.db, filter, { after: placeOf(c), limit: pageRows + 1 }),
      ]);
      return adminPage(pages, session, {
        part: 'connections',
        title: words('nav.connections'),
        body: (
          <List site={pages.site} filter={filter} counts={counts} found={found} at={c.req.query('after')} />
        ),
      });
    }),
  );
  addConnection(app, pages);
}

const providers = ['gmail', 'outlook', 'imap', 'sandbox'] as const satisfies readonly ProviderName[];

function filterOf(c: Context): ConnectionFilter {
  const { state = '', provider = '' } = c.req.query();
  return {
    state: Object.hasOwn(connectionStates, state) ? (state as ConnectionState) : null,
    subAccountId: typed(c.req.query('sub_account')),
    provider: providers.find((name) => name === provider) ?? null,
    search: typed(c.req.query('q')),
  };
}

/** `<urgency>.<id>`; whatever else stands there begins at the start. */
function placeOf(c: Context): ConnectionPlace | null {
  const [, urgency, id] = /^(\d)\.(con_[\w-]{1,40})$/.exec(c.req.query('after') ?? '') ?? [];
  return urgency === undefined || id === undefined
    ? null
    : { urgency: Number(urgency), id: id as ConnectionId };
}

type Counts = Awaited<ReturnType<typeof countConnectionsByState>>;

function List(props: {
  site: Site;
  filter: ConnectionFilter;
  counts: Counts;
  found: readonly ListedConnection[];
  at: string | undefined;
}) {
  const { site, filter } = props;
  const { shown, last } = cutPage(props.found);
  const asked = {
    state: filter.state,
    sub_account: filter.subAccountId,
    provider: filter.provider,
    q: filter.search,
  };
  const isAsked = props.at !== undefined || Object.values(asked).some((value) => value !== null);
  return (
    <>
      <States site={site} counts={props.counts} asked={asked} />
      <form class="filters" method="get" action={hrefOf(site, path)}>
        {filter.state !== null && <input type="hidden" name="state" value={filter.state} />}
        <Field
          name="q"
          type="search"
          label={words('conn.search')}
          value={filter.search ?? ''}
          hint={words('conn.search_hint')}
        />
        <Field name="sub_account" label={words('conn.sub_account')} value={filter.subAccountId ?? ''} />
        <Choice
          name="provider"
          label={words('conn.provider')}
          value={filter.provider}
          options={[
            { value: '', label: words('conn.all_providers') },
            ...providers.map((value) => ({ value, label: words(`conn.provider.${value}`) })),
          ]}
        />
        <button>{words('page.search')}</button>
      </form>
      {shown.length === 0 ? (
        <Empty>
          <p>{words(isAsked ? 'conn.none_found' : 'conn.none')}</p>
          {isAsked && (
            <p>
              <a href={hrefOf(site, path)}>{words('conn.show_all')}</a>
            </p>
          )}
        </Empty>
      ) : (
        <Connections site={site} shown={shown} />
      )}
      <Pager
        first={props.at === undefined ? null : hrefWith(site, path, asked)}
        next={last === null ? null : hrefWith(site, path, { ...asked, after: `${last.urgency}.${last.id}` })}
      />
    </>
  );
}

type Asked = Readonly<Record<string, string | null>>;

/** The states that connections are in, with how many; each shows those alone. */
function States({ site, counts, asked }: { site: Site; counts: Counts; asked: Asked }) {
  const all = counts.reduce((sum, { connections }) => sum + connections, 0);
  const entries = [
    { state: null, label: words('conn.all'), connections: all, urgency: 0 },
    ...counts.map((count) => ({ ...count, label: stateWords(count.state) })),
  ];
  return (
    <nav class="chips" aria-label={words('conn.by_state')}>
      <ul>
        {entries.map(({ state, label, connections, urgency }) => (
          <li>
            <a
              href={hrefWith(site, path, { ...asked, state })}
              aria-current={asked['state'] === state ? 'true' : undefined}
            >
              {label} <span class={urgency >= 5 ? 'count' : 'number'}>{number(connections)}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function stateWords(state: ConnectionState): string {
  return (findText(`state.${state}`) ?? []).map(({ text }) => text).join('');
}

function Connections({ site, shown }: { site: Site; shown: readonly ListedConnection[] }) {
  return (
    <Table label={words('nav.connections')}>
      <thead>
        <tr>
          <th scope="col">{words('conn.mailbox')}</th>
          <th scope="col">{words('conn.state')}</th>
          <th scope="col">{words('conn.user')}</th>
          <th scope="col">{words('conn.sub_account')}</th>
          <th scope="col">{words('conn.provider')}</th>
          <th scope="col">{words('conn.caught_up_to')}</th>
        </tr>
      </thead>
      <tbody>
        {shown.map((connection) => (
          <tr>
            <th scope="row">
              <a href={hrefOf(site, `${path}/${connection.id}`)}>
                {connection.email === null ? words('conn.no_mailbox') : <Value of={connection.email} />}
              </a>
            </th>
            <td>
              <StateBadge state={connection.state} />
              <small>
                {words('conn.since')} <Time at={connection.state_since} short />
              </small>
            </td>
            <td data-label={words('conn.user')}>
              <Value of={connection.user_name} />
              <small>
                <Value of={connection.user_id} />
              </small>
            </td>
            <td data-label={words('conn.sub_account')}>
              <Value of={connection.sub_account_id} />
            </td>
            <td data-label={words('conn.provider')}>{words(`conn.provider.${connection.provider}`)}</td>
            <td data-label={words('conn.caught_up_to')}>
              {connection.caught_up_to === null ? '–' : <Time at={connection.caught_up_to} short />}
            </td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

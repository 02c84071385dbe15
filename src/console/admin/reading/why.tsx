import type { Context, Hono } from 'hono';
import { explain, findDecided } from '../../../filing/history.ts';
import type { Explained } from '../../../filing/history.ts';
import type { DecisionId, MessageId } from '../../../lib/id.ts';
import { readFacts, readReplaced } from '../../../store/decisions.ts';
import type { Decision as DecisionMade } from '../../../store/decisions.ts';
import { subAccountOfMessage } from '../../../store/tombstones.ts';
import { hrefOf, sayingPage, Say } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Empty, Field, Pager } from '../../parts.tsx';
import { words } from '../../texts/texts.ts';
import { adminPage, withAdmin } from '../app.tsx';
import type { AdminPages, AdminSession } from '../app.tsx';
import { Decision } from './decision.tsx';
import type { FactsOf } from './decision.tsx';
import { cutPage, hrefWith, pageRows, typed } from './list.tsx';
import { Story } from './story.tsx';

const path = '/admin/why';

/** `/admin/why`: why a message is here, and why another is not (T1). */
export function addWhy(app: Hono, pages: AdminPages): void {
  const { db, site } = pages;
  app.get(path, (c) =>
    withAdmin(c, pages, async (session) => {
      const what = typed(c.req.query('q'), 998);
      if (what !== null && /^msg_[\w-]{1,40}$/.test(what)) return c.redirect(hrefOf(site, `${path}/${what}`));
      return searchPage(c, pages, session, what);
    }),
  );
  app.get(`${path}/:id`, (c) =>
    withAdmin(c, pages, async (session) => {
      const id = c.req.param('id') as MessageId;
      const sub = await subAccountOfMessage(db, id);
      const explained = sub === null ? null : await explain(db, sub, id);
      if (sub === null || explained === null) return sayingPage('not_found', 404);
      return storyPage(pages, session, sub, explained);
    }),
  );
}

async function searchPage(c: Context, pages: AdminPages, session: AdminSession, what: string | null) {
  const { db, site, secretBox } = pages;
  const subAccountId = typed(c.req.query('sub_account'));
  const after = /^dec_[\w-]{1,40}$/.exec(c.req.query('after') ?? '')?.[0] ?? null;
  const page = { after: after as DecisionId | null, limit: pageRows + 1 };
  const found = what === null ? [] : await findDecided(db, secretBox, { what, subAccountId }, page);
  const { shown, last } = cutPage(found);
  const earlier = await readReplaced(
    db,
    shown.map(({ id }) => id),
  );
  const facts = await readFacts(
    db,
    [...shown, ...earlier].map(({ id }) => id),
  );
  const asked = { q: what, sub_account: subAccountId };
  return adminPage(pages, session, {
    part: 'why',
    title: words('nav.why'),
    body: (
      <>
        <p class="lead">{words('why.lead')}</p>
        <form class="filters" method="get" action={hrefOf(site, path)}>
          <Field name="q" type="search" label={words('why.what')} value={what ?? ''} required />
          <Field name="sub_account" label={words('conn.sub_account')} value={subAccountId ?? ''} />
          <button>{words('why.ask')}</button>
        </form>
        {what !== null && shown.length === 0 && <Unknown site={site} what={what} />}
        <Found site={site} shown={shown} earlier={earlier} facts={facts} />
        <Pager
          first={after === null ? null : hrefWith(site, path, asked)}
          next={last === null ? null : hrefWith(site, path, { ...asked, after: last.id })}
        />
      </>
    ),
  });
}

/** What it can mean that nothing is known, and what to do about each. */
function Unknown({ site, what }: { site: Site; what: string }) {
  return (
    <Empty>
      <p>
        <Say text="why.unknown" with={{ what }} />
      </p>
      <ul class="causes">
        <li>
          {words('why.unknown.not_looked')}{' '}
          <a href={hrefOf(site, '/admin/connections')}>{words('why.unknown.see_connections')}</a>
        </li>
        <li>{words('why.unknown.older')}</li>
        <li>{words('why.unknown.hidden')}</li>
        <li>
          {words('why.unknown.own')}{' '}
          <a href={hrefWith(site, '/admin/connections', { q: what })}>{words('why.unknown.see_own')}</a>
        </li>
        <li>{words('why.unknown.written')}</li>
      </ul>
    </Empty>
  );
}

function Found(props: {
  site: Site;
  shown: readonly DecisionMade[];
  earlier: readonly DecisionMade[];
  facts: FactsOf;
}) {
  const { site, shown, earlier, facts } = props;
  if (shown.length === 0) return null;
  const replacing = Map.groupBy(earlier, ({ replaced_by }) => replaced_by);
  const before = (id: DecisionId): DecisionMade[] =>
    (replacing.get(id) ?? []).flatMap((decision) => [...before(decision.id), decision]);
  return (
    <ol class="decisions">
      {shown.map((decision) => (
        <li>
          {before(decision.id).map((replaced) => (
            <Decision site={site} decision={replaced} facts={facts} isWhole />
          ))}
          <Decision site={site} decision={decision} facts={facts} isWhole />
        </li>
      ))}
    </ol>
  );
}

async function storyPage(
  pages: AdminPages,
  session: AdminSession,
  subAccountId: string,
  explained: Explained,
) {
  const { site } = pages;
  const facts = await readFacts(
    pages.db,
    explained.history.decisions.map(({ id }) => id),
  );
  return adminPage(pages, session, {
    part: 'why',
    title: words('why.story'),
    list: { href: hrefOf(site, path), label: words('nav.why') },
    body: (
      <>
        <Story site={site} subAccountId={subAccountId} explained={explained} facts={facts} />
      </>
    ),
  });
}

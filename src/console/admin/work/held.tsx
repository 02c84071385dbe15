import { buffer } from 'node:stream/consumers';
import type { Context, Hono } from 'hono';
import { discardMail, releaseMail, reviewMails } from '../../../intake/review.ts';
import type { Reviewed } from '../../../intake/review.ts';
import { messageOf } from '../../../lib/failure.ts';
import { validAddress } from '../../../message/addresses.ts';
import { parseMessage } from '../../../message/parse.ts';
import { writeAudit } from '../../../store/audit.ts';
import { findHeldMail, listHeld, readHeld } from '../../../store/held.ts';
import type { Held } from '../../../store/held.ts';
import type { SpoolId } from '../../../lib/id.ts';
import { adminPage, withAdmin, withAdminForm } from '../app.tsx';
import type { AdminPages, AdminSession } from '../app.tsx';
import { hrefOf, sayingPage } from '../../page.tsx';
import type { Page } from '../../page.tsx';
import { formTokenOf } from '../../session.ts';
import { words } from '../../texts/texts.ts';
import { HeldList, HeldOne, SureToDiscard } from './held-pages.tsx';
import type { HeldContent, ReleaseTry } from './held-pages.tsx';
import { listHref, listPage, readListQuery } from './list.ts';
import { NewRows } from './new-rows.tsx';
import { Notice, doneQuery } from './notice.tsx';

const path = '/admin/held';

/** `/admin/held`: mail to logging addresses that waits for a person (B2, B4). */
export function addHeldMail(app: Hono, pages: AdminPages): void {
  const { db, site } = pages;
  app.get(path, (c) =>
    withAdmin(c, pages, async (session) => {
      const query = readListQuery(c, ['sub_account', 'user']);
      const { sub_account: subAccountId = null, user: userId = null } = query.filter;
      const found = await listHeld(db, { subAccountId, userId }, query.part);
      const page = listPage(site, path, query, found, ({ id }) => id);
      return adminPage(pages, session, {
        part: 'held',
        title: words('nav.held'),
        body: (
          <>
            <Notice c={c} />
            <NewRows />
            <HeldList site={site} formToken={formTokenOf(pages, session)} page={page} filter={query.filter} />
          </>
        ),
        ...(page.first === null ? { live: { ...query.filter, newest: page.rows[0]?.id ?? 'spl_' } } : {}),
      });
    }),
  );
  app.get(`${path}/:id`, (c) => withAdmin(c, pages, (session) => heldPage(c, pages, session, null)));
  addReview(app, pages);
  app.post(`${path}/:id/release`, (c) =>
    withAdminForm(c, pages, async (session, form) => {
      const typed = { name: (form.get('name') ?? '').trim(), address: (form.get('address') ?? '').trim() };
      const author = typed.address === '' ? null : typed;
      if (author !== null && !validAddress(author.address))
        return heldPage(c, pages, session, { ...typed, wrong: 'held.author_wrong' });
      const reviewed = await audited(pages, session, 'held.released', c.req.param('id'), (tx, which) =>
        releaseMail(tx, which, author),
      );
      pages.wakeFiler();
      if ('refused' in reviewed && reviewed.refused === 'author_unknown')
        return heldPage(c, pages, session, { ...typed, wrong: 'held.author_needed' });
      return afterwards(c, pages, session, reviewed, 'held_released');
    }),
  );
  app.post(`${path}/:id/discard`, (c) =>
    withAdminForm(c, pages, async (session) => {
      const reviewed = await audited(pages, session, 'held.discarded', c.req.param('id'), discardMail);
      pages.wakeHousekeeping();
      return afterwards(c, pages, session, reviewed, 'held_discarded');
    }),
  );
}

/** Several at once. What is lost for good is asked about once more. */
function addReview(app: Hono, pages: AdminPages): void {
  const { db, site } = pages;
  app.post(`${path}/review`, (c) =>
    withAdminForm(c, pages, async (session, form) => {
      const ids = form.getAll('id').slice(0, chosenMax);
      const verdict = form.get('verdict') === 'discard' ? 'discard' : 'release';
      if (ids.length === 0) return c.redirect(hrefOf(site, path), 303);
      if (verdict === 'discard' && form.get('sure') === null) {
        const held = (await readHeld(db, ids as SpoolId[])).filter(({ state }) => state === 'held');
        return adminPage(pages, session, {
          part: 'held',
          title: words('held.sure_title'),
          body: <SureToDiscard site={site} formToken={formTokenOf(pages, session)} held={held} />,
        });
      }
      const { done, left } = await db.transaction(async (tx) => {
        const reviewed = await reviewMails(tx, ids, verdict);
        if (reviewed.done > 0)
          await writeAudit(tx, {
            administratorId: session.administratorId,
            action: verdict === 'release' ? 'held.released' : 'held.discarded',
            subject: null,
            details: { count: reviewed.done },
          });
        return reviewed;
      });
      pages.wakeFiler();
      pages.wakeHousekeeping();
      const query =
        left > 0
          ? doneQuery('held_left', left)
          : doneQuery(verdict === 'release' ? 'held_released' : 'held_discarded', done);
      return c.redirect(listHref(site, path, query), 303);
    }),
  );
}

/** More than a page shows nobody has chosen. */
const chosenMax = 200;

/** Does one review, and writes down who decided it. */
function audited(
  { db }: AdminPages,
  { administratorId }: AdminSession,
  action: 'held.released' | 'held.discarded',
  id: string,
  review: (tx: AdminPages['db'], which: { subAccountId: null; id: string }) => Promise<Reviewed>,
): Promise<Reviewed> {
  return db.transaction(async (tx) => {
    const reviewed = await review(tx, { subAccountId: null, id });
    if (!('refused' in reviewed)) await writeAudit(tx, { administratorId, action, subject: id });
    return reviewed;
  });
}

function afterwards(
  c: Context,
  pages: AdminPages,
  session: AdminSession,
  reviewed: Reviewed,
  done: 'held_released' | 'held_discarded',
): Promise<Page | Response> | Page | Response {
  if (!('refused' in reviewed)) return c.redirect(listHref(pages.site, path, doneQuery(done)), 303);
  if (reviewed.refused === 'not_found') return sayingPage('not_found', 404);
  // Somebody else was quicker: the page says what became of it.
  return heldPage(c, pages, session, null, 409);
}

async function heldPage(
  c: Context,
  pages: AdminPages,
  session: AdminSession,
  tried: ReleaseTry | null,
  status: Page['status'] = tried === null ? 200 : 422,
): Promise<Page> {
  const id = c.req.param('id') ?? '';
  const [held] = await readHeld(pages.db, [id as SpoolId]);
  if (held === undefined) return sayingPage('not_found', 404);
  const content = held.state === 'held' ? await readContent(pages, held) : null;
  return adminPage(pages, session, {
    part: 'held',
    status,
    title: held.mail === null ? words('held.untitled') : held.mail.subject || words('held.no_subject'),
    list: { href: hrefOf(pages.site, path), label: words('nav.held') },
    body: (
      <HeldOne
        site={pages.site}
        formToken={formTokenOf(pages, session)}
        held={held}
        content={content}
        tried={tried}
      />
    ),
  });
}

/** Past this nobody reads on; units of UTF-16. */
const shownMax = { header: 32_768, text: 100_000 };

/** Its bytes, taken apart; null where they cannot be read, which must not keep anybody from discarding it. */
async function readContent({ db, blobs, log }: AdminPages, { id }: Held): Promise<HeldContent | null> {
  const found = await findHeldMail(db, id);
  if (found === undefined) return null;
  try {
    const raw = await buffer(blobs.get(found.sha256));
    const { text, attachments, partial } = await parseMessage(raw);
    const headerEnd = raw.indexOf('\r\n\r\n');
    return {
      envelope: found.envelope,
      size: found.size,
      header: cut(raw.subarray(0, headerEnd < 0 ? raw.length : headerEnd).toString('utf8'), shownMax.header),
      text: cut(text, shownMax.text),
      attachments: attachments.map(({ name, type, content }) => ({ name, type, size: content.length })),
      isPartial: partial !== null,
    };
  } catch (error) {
    log.error({ id, error: messageOf(error) }, 'a held mail cannot be read');
    return null;
  }
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max).toWellFormed()} …`;
}

import type { PublicBackfill } from '../../store/errands.ts';
import { Pieces, hrefOf } from '../page.tsx';
import type { Site } from '../page.tsx';
import { Badge, Form, Time } from '../parts.tsx';
import type { Tone } from '../parts.tsx';
import { findText, number, pieces, words } from '../texts/texts.ts';
import { Reason } from './mail-parts.tsx';

/* How a backfill looks, while it goes on and when it is over. */

const path = '/mailbox/older';

/** Whether nothing more comes of it. */
export function isOver({ ended_at: endedAt }: PublicBackfill): boolean {
  return endedAt !== null;
}

/** Which mail it is about. */
export function Window({ backfill: { since, until, contact_id: contactId } }: { backfill: PublicBackfill }) {
  const said = pieces('mine.older_window', { since, until });
  return (
    <>
      {said.map(({ text, isValue }) => (isValue ? <Time at={text} /> : text))}
      {contactId !== null && ` · ${words('mine.older_contact')}`}
    </>
  );
}

const tones: Readonly<Record<PublicBackfill['state'], Tone>> = {
  queued: 'still',
  running: 'still',
  waiting: 'still',
  finished: 'good',
  failed: 'bad',
  cancelled: 'plain',
};

/** Its progress, which looks again by itself until it is over; without scripts there is a link for that. */
export function Progress(props: { backfill: PublicBackfill; site: Site; formToken: string }) {
  const { backfill, site, formToken } = props;
  const own = `${path}/${backfill.id}`;
  const isDone = isOver(backfill);
  const look = isDone
    ? {}
    : { 'hx-get': hrefOf(site, `${own}/progress`), 'hx-trigger': 'every 2s', 'hx-swap': 'outerHTML' };
  return (
    <section class="card" id="progress" {...look}>
      <p class="mail-who" role="status">
        <strong>{words(backfill.dry_run ? 'mine.older_dry' : 'mine.older_real')}</strong>
        <Badge tone={tones[backfill.state]}>{words(`mine.older_state_${backfill.state}`)}</Badge>
      </p>
      <small>
        <Window backfill={backfill} />
      </small>
      <Cause backfill={backfill} />
      <progress max={1} value={backfill.share} aria-label={words('mine.older_progress')} />
      <Counts backfill={backfill} />
      {isDone ? (
        <Afterwards backfill={backfill} site={site} formToken={formToken} />
      ) : (
        <>
          <noscript>
            <p>
              <a href={hrefOf(site, own)}>{words('mine.reload')}</a>
            </p>
          </noscript>
          <Form action={hrefOf(site, `${own}/cancel`)} formToken={formToken}>
            <p class="actions">
              <button class="quiet">{words('mine.older_cancel')}</button>
            </p>
          </Form>
        </>
      )}
    </section>
  );
}

/** What it waits for, or why it ended so. */
function Cause({ backfill: { state, reason, dry_run: dryRun } }: { backfill: PublicBackfill }) {
  const known = reason === null ? null : findText(`mine.older_waits_${reason}`);
  const other = { waiting: 'mine.older_waits_other', failed: 'mine.older_failed_other' } as const;
  if (state === 'waiting' || state === 'failed') {
    return (
      <p class="outcome still">
        <Pieces of={known ?? findText(other[state]) ?? []} />
      </p>
    );
  }
  if (known !== null) {
    return (
      <p class="outcome still">
        <Pieces of={known} />
      </p>
    );
  }
  return state === 'cancelled' && !dryRun ? <p>{words('mine.older_cancelled_text')}</p> : null;
}

function Counts({ backfill }: { backfill: PublicBackfill }) {
  const { seen, stored, skipped, failed, dry_run: dryRun } = backfill;
  const reasons = Object.entries(skipped).sort(([, a], [, b]) => b - a);
  const left = reasons.reduce((sum, [, messages]) => sum + messages, 0);
  return (
    <>
      <dl class="counts">
        <Count label={words('mine.older_seen')} n={seen} />
        <Count label={words(dryRun ? 'mine.older_would' : 'mine.older_stored')} n={stored} />
        <Count label={words('mine.older_skipped')} n={left} />
        {failed > 0 && <Count label={words('mine.older_failed')} n={failed} />}
      </dl>
      {reasons.length > 0 && (
        <details>
          <summary>{words('mine.older_reasons')}</summary>
          <ul>
            {reasons.map(([reason, messages]) => (
              <li>
                <strong>{number(messages)}</strong> <Reason of={reason} />
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

function Count({ label, n }: { label: string; n: number }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{number(n)}</dd>
    </div>
  );
}

/** What can be done next: what was counted can be stored. */
function Afterwards(props: { backfill: PublicBackfill; site: Site; formToken: string }) {
  const { backfill, site, formToken } = props;
  const { state, dry_run: dryRun, stored, since, contact_id: contactId } = backfill;
  const isCount = state === 'finished' && dryRun && contactId === null;
  return (
    <>
      {isCount && stored === 0 && <p>{words('mine.older_private')}</p>}
      <Form action={hrefOf(site, path)} formToken={formToken}>
        <input type="hidden" name="span" value="exact" />
        <input type="hidden" name="since" value={since} />
        <p class="actions">
          {isCount && stored > 0 && <button>{words('mine.older_now')}</button>}
          <a class="button quiet" href={hrefOf(site, path)}>
            {words('mine.older_other')}
          </a>
        </p>
      </Form>
    </>
  );
}

import type { Held } from '../../../store/held.ts';
import type { Envelope } from '../../../store/spool.ts';
import { hrefOf, Value } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Badge, Empty, Field, Form, Pager, Time, Table } from '../../parts.tsx';
import { counted, number, words } from '../../texts/texts.ts';
import type { PlainKey } from '../../texts/texts.ts';
import type { ListPage } from './list.ts';
import { textOf } from './send-words.tsx';
import { OfMember } from './member.tsx';

/** What is read of the mail itself. */
export type HeldContent = {
  envelope: Envelope;
  size: number;
  header: string;
  text: string;
  attachments: { name: string; type: string; size: number }[];
  /** It could not be taken apart as a whole. */
  isPartial: boolean;
};

/** Who was named as the author of what was forwarded, and why that was not enough. */
export type ReleaseTry = { name: string; address: string; wrong: PlainKey };

type Forms = { site: Site; formToken: string };

export function HeldList(props: Forms & { page: ListPage<Held>; filter: Record<string, string> }) {
  const { site, formToken, page, filter } = props;
  if (page.rows.length === 0 && page.first === null)
    return (
      <Empty>
        <p>{words('held.none')}</p>
        <p>{words('held.none_next')}</p>
      </Empty>
    );
  return (
    <>
      <p class="lead">{words('held.lead')}</p>
      <Form action={hrefOf(site, '/admin/held/review')} formToken={formToken}>
        <Table label={words('nav.held')}>
          <thead>
            <tr>
              <td class="choose" data-label={words('held.choose_all')}>
                <input type="checkbox" aria-label={words('held.choose_all')} data-choose-all="id" hidden />
              </td>
              <th scope="col">{words('held.mail')}</th>
              <th scope="col">{words('held.why')}</th>
              <th scope="col">{words('held.whose')}</th>
              <th scope="col">{words('held.came')}</th>
            </tr>
          </thead>
          <tbody>
            {page.rows.map((held) => (
              <HeldRow site={site} held={held} />
            ))}
          </tbody>
        </Table>
        <p class="actions">
          <button name="verdict" value="release">
            {words('held.release_chosen')}
          </button>
          <button class="quiet" name="verdict" value="discard">
            {words('held.discard_chosen')}
          </button>
        </p>
      </Form>
      <Pager first={page.first} newer={page.newer} next={page.older} />
      {Object.keys(filter).length > 0 && (
        <p>
          <a href={hrefOf(site, '/admin/held')}>{words('work.all')}</a>
        </p>
      )}
    </>
  );
}

function HeldRow({ site, held }: { site: Site; held: Held }) {
  const subject = held.mail?.subject || words('held.no_subject');
  return (
    <tr>
      <td class="choose">
        <input type="checkbox" name="id" value={held.id} aria-label={words('held.choose', { subject })} />
      </td>
      <th scope="row">
        <a href={hrefOf(site, `/admin/held/${held.id}`)}>
          <bdi>{subject}</bdi>
        </a>
        <small>
          <Value of={held.mail?.from?.address ?? words('held.no_sender')} />
        </small>
      </th>
      <td>
        <Badge tone="still">{reasonOf(held)}</Badge>
      </td>
      <td data-label={words('held.whose')}>
        <OfMember userId={held.user_id} subAccountId={held.sub_account_id} />
      </td>
      <td data-label={words('held.came')}>
        <Time at={held.received_at} short />
      </td>
    </tr>
  );
}

function reasonOf({ reason }: Held): string {
  return textOf(`held_reason.${reason}`) ?? reason;
}

export function HeldOne(
  props: Forms & { held: Held; content: HeldContent | null; tried: ReleaseTry | null },
) {
  const { held, content } = props;
  return (
    <>
      {held.state === 'held' ? (
        <Decide {...props} />
      ) : (
        <p class="outcome still">{words(`held.is_${held.state}`)}</p>
      )}
      <div class="cards">
        <MailFacts held={held} />
        <ProofFacts held={held} content={content} />
      </div>
      {held.mail?.forwarded != null && <ForwardedFacts forwarded={held.mail.forwarded} />}
      {content !== null && <Content content={content} />}
      {held.state === 'held' && content === null && <p class="outcome bad">{words('held.unreadable')}</p>}
    </>
  );
}

/** Why it waits, and the two ways on. */
function Decide({ site, formToken, held, tried }: Forms & { held: Held; tried: ReleaseTry | null }) {
  const forwarded = held.mail?.forwarded ?? null;
  const action = (verdict: string) => hrefOf(site, `/admin/held/${held.id}/${verdict}`);
  return (
    <section class="card">
      <h2>{reasonOf(held)}</h2>
      <p>{textOf(`held_reason.${held.reason}.more`)}</p>
      <Form action={action('release')} formToken={formToken}>
        {forwarded !== null && (
          <fieldset>
            <legend>{words('held.author')}</legend>
            <div class="row">
              <Field
                name="address"
                label={words('held.author_address')}
                inputmode="email"
                value={tried?.address ?? forwarded.from?.address ?? ''}
                wrong={tried?.wrong}
              />
              <Field
                name="name"
                label={words('held.author_name')}
                value={tried?.name ?? forwarded.from?.name ?? ''}
              />
            </div>
          </fieldset>
        )}
        <p class="actions">
          <button>{words('held.release')}</button>
          <small>{words('held.release_means')}</small>
        </p>
      </Form>
      <details>
        <summary>{words('held.discard')}</summary>
        <p>{words('held.discard_means')}</p>
        <Form action={action('discard')} formToken={formToken}>
          <button class="danger">{words('held.discard_now')}</button>
        </Form>
      </details>
    </section>
  );
}

function MailFacts({ held }: { held: Held }) {
  const { mail } = held;
  return (
    <section class="card">
      <h2>{words('held.what')}</h2>
      <dl class="facts">
        <dt>{words('held.whose')}</dt>
        <dd>
          <OfMember userId={held.user_id} subAccountId={held.sub_account_id} />
        </dd>
        <dt>{words('held.came')}</dt>
        <dd>
          <Time at={held.received_at} />
        </dd>
        {mail !== null && (
          <>
            <dt>{words('held.from')}</dt>
            <dd>
              <People people={mail.from === null ? [] : [mail.from]} />
            </dd>
            <dt>{words('held.to')}</dt>
            <dd>
              <People people={mail.to} />
            </dd>
            <dt>{words('held.cc')}</dt>
            <dd>
              <People people={mail.cc} />
            </dd>
            <dt>{words('held.date')}</dt>
            <dd>{mail.date === null ? words('held.no_date') : <Time at={mail.date} />}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

function People({ people }: { people: readonly { name: string; address: string }[] }) {
  if (people.length === 0) return <>{words('page.none')}</>;
  return (
    <ul class="plain">
      {people.map(({ name, address }) => (
        <li>
          {name !== '' && (
            <>
              <bdi>{name}</bdi>{' '}
            </>
          )}
          <Value of={address} />
        </li>
      ))}
    </ul>
  );
}

/** Who proved what. */
function ProofFacts({ held: { proof }, content }: { held: Held; content: HeldContent | null }) {
  const result = (value: string | null) => (value === null ? words('held.not_asked') : <code>{value}</code>);
  return (
    <section class="card">
      <h2>{words('held.proof')}</h2>
      <p>
        <Badge tone={proof.verdict === 'proven' ? 'good' : proof.verdict === 'failed' ? 'bad' : 'still'}>
          {words(`proof.${proof.verdict}`)}
        </Badge>
      </p>
      <dl class="facts">
        <dt>{words('held.domain')}</dt>
        <dd>{proof.domain === '' ? words('page.none') : <bdi>{proof.domain}</bdi>}</dd>
        <dt>SPF</dt>
        <dd>{result(proof.spf)}</dd>
        <dt>DKIM</dt>
        <dd>{result(proof.dkim)}</dd>
        <dt>DMARC</dt>
        <dd>{proof.dmarc_policy === null ? words('held.no_policy') : <code>{proof.dmarc_policy}</code>}</dd>
        <dt>ARC</dt>
        <dd>{result(proof.arc)}</dd>
        {content !== null && <SessionFacts envelope={content.envelope} />}
      </dl>
    </section>
  );
}

function SessionFacts({ envelope }: { envelope: Envelope }) {
  return (
    <>
      <dt>{words('held.server')}</dt>
      <dd>
        <bdi>{envelope.helo}</bdi> <code>{envelope.clientAddress}</code>{' '}
        {envelope.tls ? words('held.with_tls') : words('held.without_tls')}
      </dd>
      <dt>{words('held.envelope')}</dt>
      <dd>{envelope.from === '' ? words('page.none') : <Value of={envelope.from} />}</dd>
    </>
  );
}

function ForwardedFacts({ forwarded }: { forwarded: NonNullable<NonNullable<Held['mail']>['forwarded']> }) {
  return (
    <section class="card">
      <h2>{words('held.forwarded')}</h2>
      <dl class="facts">
        <dt>{words('held.from')}</dt>
        <dd>
          <People people={forwarded.from === null ? [] : [forwarded.from]} />
        </dd>
        <dt>{words('held.subject')}</dt>
        <dd>
          <bdi>{forwarded.subject || words('held.no_subject')}</bdi>
        </dd>
        <dt>{words('held.date')}</dt>
        <dd>{forwarded.date === null ? words('held.no_date') : <Time at={forwarded.date} />}</dd>
      </dl>
      {forwarded.doubts.length > 0 && (
        <>
          <h3>{words('held.doubts')}</h3>
          <ul>
            {forwarded.doubts.map((doubt) => (
              <li>{textOf(`doubt.${doubt}`) ?? doubt}</li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

/** As text, whatever it was: nothing of it is shown as a page. */
function Content({ content }: { content: HeldContent }) {
  return (
    <section class="card">
      <h2>{words('held.text')}</h2>
      {content.isPartial && <p class="soft">{words('held.partial')}</p>}
      {content.text.trim() === '' ? (
        <p class="soft">{words('held.no_text')}</p>
      ) : (
        <pre class="mail">{content.text}</pre>
      )}
      {content.attachments.length > 0 && (
        <>
          <h3>{counted('held.attachments', content.attachments.length)}</h3>
          <ul>
            {content.attachments.map(({ name, type, size }) => (
              <li>
                <bdi>{name === '' ? words('held.no_name') : name}</bdi>{' '}
                <small>
                  <bdi>{type}</bdi> · {kilobytes(size)}
                </small>
              </li>
            ))}
          </ul>
        </>
      )}
      <details>
        <summary>{words('held.header')}</summary>
        <pre>{content.header}</pre>
      </details>
      <small>{words('held.size', { size: kilobytes(content.size) })}</small>
    </section>
  );
}

function kilobytes(bytes: number): string {
  return words('held.kilobytes', { n: number(Math.max(1, Math.round(bytes / 1024))) });
}

export function SureToDiscard({ site, formToken, held }: Forms & { held: readonly Held[] }) {
  return (
    <section class="card">
      <p>{words('held.discard_means')}</p>
      <ul>
        {held.map(({ mail }) => (
          <li>
            <bdi>{mail?.subject || words('held.no_subject')}</bdi>
          </li>
        ))}
      </ul>
      <Form action={hrefOf(site, '/admin/held/review')} formToken={formToken}>
        <input type="hidden" name="verdict" value="discard" />
        {held.map(({ id }) => (
          <input type="hidden" name="id" value={id} />
        ))}
        <p class="actions">
          <button class="danger" name="sure" value="yes">
            {counted('held.discard_sure', held.length)}
          </button>
          <a class="button quiet" href={hrefOf(site, '/admin/held')}>
            {words('page.cancel_plain')}
          </a>
        </p>
      </Form>
    </section>
  );
}

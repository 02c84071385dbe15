import type { PublicMessage } from '../../../store/public-message.ts';
import type { PublicSend, SendReported } from '../../../store/public-send.ts';
import type { ListedSend } from '../../../store/send-list.ts';
import { hrefOf, Value } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Badge, Empty, Field, Form, Pager, Time, Table } from '../../parts.tsx';
import { counted, number, words } from '../../texts/texts.ts';
import type { ListPage } from './list.ts';
import { OfMember } from './member.tsx';
import { duration } from './duration.ts';
import { ReasonInFull, ReasonInShort, SendStateBadge, sendStates, textOf } from './send-words.tsx';

export function SendList(props: {
  site: Site;
  page: ListPage<ListedSend>;
  filter: Readonly<Record<string, string>>;
}) {
  const { site, page, filter } = props;
  const isNarrowed = Object.keys(filter).length > 0;
  return (
    <>
      <SendFilters site={site} filter={filter} />
      {page.rows.length === 0 ? (
        <Empty>
          <p>{words(isNarrowed ? 'sends.none_such' : 'sends.none')}</p>
          <p>
            {isNarrowed ? (
              <a href={hrefOf(site, '/admin/sends')}>{words('work.all')}</a>
            ) : (
              words('sends.none_next')
            )}
          </p>
        </Empty>
      ) : (
        <Table label={words('nav.sends')}>
          <thead>
            <tr>
              <th scope="col">{words('sends.message')}</th>
              <th scope="col">{words('sends.state')}</th>
              <th scope="col">{words('sends.whose')}</th>
              <th scope="col">{words('sends.accepted')}</th>
            </tr>
          </thead>
          <tbody>
            {page.rows.map((send) => (
              <SendRow site={site} send={send} />
            ))}
          </tbody>
        </Table>
      )}
      <Pager first={page.first} newer={page.newer} next={page.older} />
    </>
  );
}

function SendFilters({ site, filter }: { site: Site; filter: Readonly<Record<string, string>> }) {
  return (
    <form class="filters" method="get" action={hrefOf(site, '/admin/sends')} role="search">
      <label class="field" for="state">
        <span>{words('sends.state')}</span>
        <select id="state" name="state">
          <option value="">{words('work.any')}</option>
          {sendStates.map((state) => (
            <option value={state} selected={state === filter['state']}>
              {words(`send_state.${state}`)}
            </option>
          ))}
        </select>
      </label>
      <Field name="sub_account" label={words('work.sub_account')} value={filter['sub_account'] ?? ''} />
      <Field
        name="user"
        label={words('work.user')}
        value={filter['user'] ?? ''}
        wrong={
          filter['user'] !== undefined && filter['sub_account'] === undefined
            ? 'work.user_needs_sub'
            : undefined
        }
      />
      <button>{words('page.search')}</button>
    </form>
  );
}

const shownRecipients = 2;

function SendRow({ site, send }: { site: Site; send: ListedSend }) {
  const more = send.to.length - shownRecipients;
  return (
    <tr>
      <th scope="row">
        <a href={hrefOf(site, `/admin/sends/${send.id}`)}>
          <bdi>{send.subject === '' ? words('sends.no_subject') : send.subject}</bdi>
        </a>
        <small>
          {words('sends.to')}{' '}
          {send.to.slice(0, shownRecipients).map((address, n) => (
            <>
              {n > 0 && ', '}
              <Value of={address} />
            </>
          ))}
          {more > 0 && ` ${counted('sends.more', more)}`}
        </small>
      </th>
      <td>
        <SendStateBadge state={send.state} />
        <ReasonInShort reason={send.reason} />
      </td>
      <td data-label={words('sends.whose')}>
        <OfMember userId={send.userId} subAccountId={send.subAccountId} />
      </td>
      <td data-label={words('sends.accepted')}>
        <Time at={send.createdAt} short />
        {send.sendAt !== null && (
          <small>
            {words('sends.not_before')} <Time at={send.sendAt} short />
          </small>
        )}
      </td>
    </tr>
  );
}

type OneProps = { site: Site; formToken: string; send: PublicSend; message: PublicMessage };

export function SendOne({ site, formToken, send, message }: OneProps) {
  return (
    <>
      <section class="card">
        <h2>
          <SendStateBadge state={send.state} />
        </h2>
        <ReasonInFull reason={send.reason} />
        <p class="soft">
          {words(`send_state.${send.state}.more`)} {words('sends.since')} <Time at={send.state_since} />
        </p>
        {send.next_try_at !== null && (
          <p>
            {words('sends.next_try')} <Time at={send.next_try_at} />
          </p>
        )}
        {(send.state === 'queued' || send.state === 'held') && (
          <details>
            <summary>{words('sends.cancel')}</summary>
            <p>{words('sends.cancel_means')}</p>
            <Form action={hrefOf(site, `/admin/sends/${send.id}/cancel`)} formToken={formToken}>
              <button class="danger">{words('sends.cancel_now')}</button>
            </Form>
          </details>
        )}
      </section>
      <div class="cards">
        <WayFacts send={send} message={message} />
        <AnswerFacts send={send} />
      </div>
      <Attempts send={send} />
      {send.reports.length > 0 && <Reports reports={send.reports} />}
      {send.tracking !== null && <Tracking tracking={send.tracking} />}
    </>
  );
}

function WayFacts({ send, message }: { send: PublicSend; message: PublicMessage }) {
  const to = [...message.to, ...message.cc];
  return (
    <section class="card">
      <h2>{words('sends.way')}</h2>
      <dl class="facts">
        <dt>{words('sends.whose')}</dt>
        <dd>
          <OfMember userId={send.user_id} subAccountId={send.sub_account_id} />
        </dd>
        <dt>{words('sends.kind')}</dt>
        <dd>{words(`send_kind.${message.kind}`)}</dd>
        <dt>{words('sends.through')}</dt>
        <dd>
          {words(`send_way.${send.route.through}`)}
          <small>{words(`send_row.${send.route.row}`)}</small>
        </dd>
        <dt>{words('sends.from')}</dt>
        <dd>
          <Value of={send.route.from} />
        </dd>
        <dt>{words('sends.to')}</dt>
        <dd>
          <ul class="plain">
            {to.map(({ name, address }) => (
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
        </dd>
        <dt>{words('sends.accepted')}</dt>
        <dd>
          <Time at={send.created_at} />
        </dd>
        <dt>Message-ID</dt>
        <dd>
          <code>{message.internet_message_id ?? words('page.none')}</code>
        </dd>
      </dl>
    </section>
  );
}

function AnswerFacts({ send }: { send: PublicSend }) {
  const { answered, auto_replied: automatic, sent_copy: copy } = send;
  return (
    <section class="card">
      <h2>{words('sends.afterwards')}</h2>
      <dl class="facts">
        <dt>{words('sends.answered')}</dt>
        <dd>{answered === null ? words('sends.not_yet') : <Time at={answered.at} />}</dd>
        {automatic !== null && (
          <>
            <dt>{words('sends.auto_replied')}</dt>
            <dd>
              <Time at={automatic.at} />
            </dd>
          </>
        )}
        {(send.state === 'sent' || send.state === 'bounced') && (
          <>
            <dt>{words('sends.copy')}</dt>
            <dd>
              {send.copy_seen
                ? words('sends.copy_seen')
                : words(copy === null ? 'sends.copy_by_provider' : `sends.copy_${copy.state}`)}
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}

function Attempts({ send }: { send: PublicSend }) {
  return (
    <section>
      <h2>{words('sends.attempts')}</h2>
      {send.attempts.length === 0 ? (
        <Empty>{words('sends.no_attempts')}</Empty>
      ) : (
        <Table label={words('sends.attempts')}>
          <thead>
            <tr>
              <th scope="col">{words('sends.attempt')}</th>
              <th scope="col">{words('sends.outcome')}</th>
              <th scope="col">{words('sends.server_said')}</th>
              <th scope="col">{words('sends.took')}</th>
            </tr>
          </thead>
          <tbody>
            {send.attempts.map(({ n, started_at: start, ended_at: end, outcome, reply }) => (
              <tr>
                <th scope="row">
                  {number(n)}. <Time at={start} />
                </th>
                <td>
                  <Badge tone={outcome === 'accepted' ? 'good' : outcome === 'permanent' ? 'bad' : 'still'}>
                    {textOf(`attempt.${outcome ?? 'none'}`) ?? outcome}
                  </Badge>
                </td>
                <td>{reply === null ? words('sends.said_nothing') : <pre>{reply}</pre>}</td>
                <td data-label={words('sends.took')}>
                  {end === null ? '' : duration(Date.parse(end) - Date.parse(start))}
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </section>
  );
}

/** Of each recipient, what the other side says: refused, late, delivered, read. */
function Reports({ reports }: { reports: readonly SendReported[] }) {
  return (
    <section>
      <h2>{words('sends.reports')}</h2>
      <Table label={words('sends.reports')}>
        <thead>
          <tr>
            <th scope="col">{words('sends.recipient')}</th>
            <th scope="col">{words('sends.outcome')}</th>
            <th scope="col">{words('sends.other_side_said')}</th>
            <th scope="col">{words('sends.when')}</th>
          </tr>
        </thead>
        <tbody>
          {reports.map((report) => (
            <tr>
              <th scope="row">
                <Value of={report.address} />
              </th>
              <td>
                <Badge tone={report.action === 'failed' ? 'bad' : 'plain'}>
                  {words(`report.${report.action}`)}
                </Badge>
                {report.class !== null && <small>{words(`bounce.${report.class}`)}</small>}
              </td>
              <td>
                <pre>{[report.status, report.words].filter((said) => said !== null).join('\n')}</pre>
              </td>
              <td>
                <Time at={report.at} short />
              </td>
            </tr>
          ))}
        </tbody>
      </Table>
    </section>
  );
}

function Tracking({ tracking: { opens, clicks } }: { tracking: NonNullable<PublicSend['tracking']> }) {
  const times = (count: number, at: string | null) => (
    <>
      {counted('sends.times', count)}
      {at !== null && (
        <small>
          {words('sends.last')} <Time at={at} short />
        </small>
      )}
    </>
  );
  return (
    <section class="card">
      <h2>{words('sends.tracking')}</h2>
      <dl class="facts">
        {opens !== null && (
          <>
            <dt>{words('sends.opened')}</dt>
            <dd>{times(opens.count, opens.last_at)}</dd>
          </>
        )}
        {clicks.map(({ url, count, last_at: at }) => (
          <>
            <dt>
              {/* Not a link: whoever follows it from here is not who it was meant for. */}
              <code>{url}</code>
            </dt>
            <dd>{times(count, at)}</dd>
          </>
        ))}
      </dl>
    </section>
  );
}

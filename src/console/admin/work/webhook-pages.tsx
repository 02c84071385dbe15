import type { DeliveryRow } from '../../../store/delivery-list.ts';
import type { ListedWebhook } from '../../../store/webhook-list.ts';
import type { WebhookRow } from '../../../store/webhooks.ts';
import type { ProbeResult } from '../../../webhook/probe.ts';
import { hrefOf } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Badge, Copyable, Empty, Field, Form, Pager, Time, Table } from '../../parts.tsx';
import { counted, number, words } from '../../texts/texts.ts';
import { deliveryStates } from './delivery-states.ts';
import { duration } from './duration.ts';
import type { ListPage } from './list.ts';
import { listHref } from './list.ts';
import { shownCount } from './shown-count.ts';

/** What is shown once, after the form that made it. */
export type Once = { webhookId: string } & (
  { kind: 'secret'; secret: string } | ({ kind: 'probe' } & ProbeResult)
);

type WebhookState = Pick<WebhookRow, 'enabled' | 'failures' | 'pausedUntil'>;

function WebhookBadge({ webhook: { enabled, failures } }: { webhook: WebhookState }) {
  if (!enabled) return <Badge tone="plain">{words('webhooks.is_off')}</Badge>;
  if (failures > 0) return <Badge tone="bad">{words('webhooks.is_failing')}</Badge>;
  return <Badge tone="good">{words('webhooks.is_on')}</Badge>;
}

export function WebhookList(props: {
  site: Site;
  page: ListPage<ListedWebhook>;
  filter: Readonly<Record<string, string>>;
}) {
  const { site, page, filter } = props;
  const isNarrowed = Object.keys(filter).length > 0;
  return (
    <>
      <form class="filters" method="get" action={hrefOf(site, '/admin/webhooks')} role="search">
        <Field name="sub_account" label={words('work.sub_account')} value={filter['sub_account'] ?? ''} />
        <button class="quiet">{words('page.search')}</button>
        <a class="button" href={hrefOf(site, '/admin/webhooks/new')}>
          {words('webhooks.new')}
        </a>
      </form>
      {page.rows.length === 0 ? (
        <Empty>
          <p>{words(isNarrowed ? 'webhooks.none_such' : 'webhooks.none')}</p>
          <p>
            {isNarrowed ? (
              <a href={hrefOf(site, '/admin/webhooks')}>{words('work.all')}</a>
            ) : (
              words('webhooks.none_next')
            )}
          </p>
        </Empty>
      ) : (
        <WebhookTable site={site} webhooks={page.rows} />
      )}
      <Pager first={page.first} newer={page.newer} next={page.older} />
    </>
  );
}

function WebhookTable({ site, webhooks }: { site: Site; webhooks: readonly ListedWebhook[] }) {
  return (
    <Table label={words('nav.webhooks')}>
      <thead>
        <tr>
          <th scope="col">{words('webhooks.url')}</th>
          <th scope="col">{words('webhooks.state')}</th>
          <th scope="col" class="number">
            {words('delivery_state.pending')}
          </th>
          <th scope="col" class="number">
            {words('delivery_state.parked')}
          </th>
          <th scope="col">{words('webhooks.last_delivered')}</th>
        </tr>
      </thead>
      <tbody>
        {webhooks.map((webhook) => (
          <tr>
            <th scope="row">
              <a href={hrefOf(site, `/admin/webhooks/${webhook.id}`)}>
                <bdi>{webhook.url}</bdi>
              </a>
              <small>
                {webhook.subAccountId === null ? words('webhooks.of_all') : <bdi>{webhook.subAccountId}</bdi>}
              </small>
            </th>
            <td>
              <WebhookBadge webhook={webhook} />
            </td>
            <td class="number" data-label={words('delivery_state.pending')}>
              {shownCount(webhook.pending)}
            </td>
            <td class="number" data-label={words('delivery_state.parked')}>
              {shownCount(webhook.parked)}
            </td>
            <td data-label={words('webhooks.last_delivered')}>
              <Time at={webhook.deliveredAt?.toISOString() ?? null} short />
            </td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

/** A secret that is shown once, or what an endpoint made of a test event. */
export function OnceBox({ once, webhookId }: { once: Once | null; webhookId: string }) {
  if (once === null || once.webhookId !== webhookId) return null;
  if (once.kind === 'secret')
    return (
      <div class="outcome good" role="status">
        <p>{words('webhooks.secret_once')}</p>
        <p>
          <Copyable text={once.secret} />
        </p>
      </div>
    );
  return (
    <div class={`outcome ${once.delivered ? 'good' : 'bad'}`} role="status">
      <p>{words(once.delivered ? 'webhooks.test_delivered' : 'webhooks.test_failed')}</p>
      <p>
        {once.status !== null && <code>HTTP {once.status}</code>}{' '}
        {once.error !== null && <bdi>{once.error}</bdi>} <small>{duration(once.tookMs)}</small>
      </p>
    </div>
  );
}

type Forms = { site: Site; formToken: string };

/** `version`: of the secret, see `secretVersion`. */
type OneWebhook = { webhook: WebhookRow; version: string };

export function WebhookOne(props: Forms & OneWebhook) {
  const { site, formToken, webhook } = props;
  return (
    <>
      <section class="card">
        <WebhookFacts webhook={webhook} />
        <WebhookActions {...props} />
      </section>
      {webhook.parked > 0 && (
        <section class="card aside-by-side">
          <strong>{counted('webhooks.parked', webhook.parked)}</strong>
          <Form action={hrefOf(site, `/admin/webhooks/${webhook.id}/retry-parked`)} formToken={formToken}>
            <button>{words('webhooks.retry_all')}</button>
          </Form>
        </section>
      )}
    </>
  );
}

function WebhookFacts({ webhook }: { webhook: WebhookRow }) {
  return (
    <dl class="facts">
      <dt>{words('webhooks.state')}</dt>
      <dd>
        <WebhookBadge webhook={webhook} />
        <StateInWords webhook={webhook} />
      </dd>
      <dt>{words('webhooks.url')}</dt>
      <dd>
        <code>{webhook.url}</code>
      </dd>
      <dt>{words('work.sub_account')}</dt>
      <dd>{webhook.subAccountId === null ? words('webhooks.of_all') : <bdi>{webhook.subAccountId}</bdi>}</dd>
      <dt>{words('webhooks.types')}</dt>
      <dd>
        {webhook.types.length === 0 ? words('webhooks.all_types') : <code>{webhook.types.join(', ')}</code>}
      </dd>
      <dt>{words('webhooks.secret')}</dt>
      <dd>{words('webhooks.secret_hidden')}</dd>
      <dt>{words('webhooks.made')}</dt>
      <dd>
        <Time at={webhook.createdAt.toISOString()} />
      </dd>
    </dl>
  );
}

function WebhookActions({ site, formToken, webhook, version }: Forms & OneWebhook) {
  const action = (name: string) => hrefOf(site, `/admin/webhooks/${webhook.id}/${name}`);
  return (
    <>
      <div class="actions">
        <a class="button quiet" href={action('edit')}>
          {words('webhooks.change')}
        </a>
        <Form action={action('test')} formToken={formToken}>
          <button class="quiet">{words('webhooks.test')}</button>
        </Form>
        <Form action={action(webhook.enabled ? 'pause' : 'resume')} formToken={formToken}>
          <button class="quiet">{words(webhook.enabled ? 'webhooks.pause' : 'webhooks.resume')}</button>
        </Form>
      </div>
      <details>
        <summary>{words('webhooks.rotate')}</summary>
        <p>{words('webhooks.rotate_means')}</p>
        <Form action={action('rotate')} formToken={formToken}>
          <input type="hidden" name="shown" value={version} />
          <button>{words('webhooks.rotate_now')}</button>
        </Form>
      </details>
      <details>
        <summary>{words('webhooks.delete')}</summary>
        <p>{words('webhooks.delete_means')}</p>
        <Form action={action('delete')} formToken={formToken}>
          <button class="danger">{words('webhooks.delete_now')}</button>
        </Form>
      </details>
    </>
  );
}

function StateInWords({ webhook: { enabled, failures, pausedUntil } }: { webhook: WebhookRow }) {
  if (!enabled) return <small>{words('webhooks.off_means')}</small>;
  if (failures === 0) return null;
  return (
    <small>
      {words('webhooks.failures', { n: number(failures) })}{' '}
      {pausedUntil !== null && (
        <>
          {words('webhooks.paused_until')} <Time at={pausedUntil.toISOString()} short />
        </>
      )}
    </small>
  );
}

const deliveryTones = { pending: 'still', delivered: 'good', parked: 'bad' } as const;

export function DeliveryList(
  props: Forms & { path: string; state: DeliveryRow['state'] | null; page: ListPage<DeliveryRow> },
) {
  const { site, formToken, path, state, page } = props;
  return (
    <section>
      <h2>{words('webhooks.deliveries')}</h2>
      <nav class="pills" aria-label={words('webhooks.by_state')}>
        {[null, ...deliveryStates].map((one) => (
          <a
            href={listHref(site, path, one === null ? {} : { state: one })}
            aria-current={one === state ? 'true' : undefined}
          >
            {one === null ? words('work.any') : words(`delivery_state.${one}`)}
          </a>
        ))}
      </nav>
      {page.rows.length === 0 ? (
        <Empty>
          <p>{words('webhooks.no_deliveries')}</p>
        </Empty>
      ) : (
        <Table label={words('webhooks.deliveries')}>
          <thead>
            <tr>
              <th scope="col">{words('webhooks.event')}</th>
              <th scope="col">{words('webhooks.state')}</th>
              <th scope="col">{words('webhooks.answer')}</th>
              <th scope="col" class="number">
                {words('webhooks.tries')}
              </th>
              <td />
            </tr>
          </thead>
          <tbody>
            {page.rows.map((delivery) => (
              <Delivery site={site} formToken={formToken} path={path} delivery={delivery} />
            ))}
          </tbody>
        </Table>
      )}
      <Pager first={page.first} newer={page.newer} next={page.older} />
    </section>
  );
}

function Delivery({ site, formToken, path, delivery }: Forms & { path: string; delivery: DeliveryRow }) {
  const { id, type, state, attempts, lastStatus, lastError, nextAttemptAt, deliveredAt, createdAt } =
    delivery;
  // One that was not tried yet is due anyway, or waits for another.
  const mayRetry = state !== 'pending' || (attempts > 0 && nextAttemptAt !== null);
  const again = words(state === 'delivered' ? 'webhooks.deliver_again' : 'webhooks.retry');
  return (
    <tr>
      <th scope="row">
        <code>{type}</code>
        <small>
          <Time at={createdAt.toISOString()} short />
        </small>
      </th>
      <td>
        <Badge tone={deliveryTones[state]}>{words(`delivery_state.${state}`)}</Badge>
        <small>
          {deliveredAt !== null && <Time at={deliveredAt.toISOString()} short />}
          {nextAttemptAt !== null && (
            <>
              {words('webhooks.next')} <Time at={nextAttemptAt.toISOString()} short />
            </>
          )}
          {state === 'pending' && nextAttemptAt === null && words('webhooks.behind')}
        </small>
      </td>
      <td>
        {lastStatus !== null && <code>HTTP {lastStatus}</code>}
        {lastError !== null && (
          <small>
            <bdi>{lastError}</bdi>
          </small>
        )}
      </td>
      <td class="number" data-label={words('webhooks.tries')}>
        {number(attempts)}
      </td>
      <td class="does">
        {mayRetry && (
          <Form action={hrefOf(site, `${path}/deliveries/${id}/retry`)} formToken={formToken}>
            <button class="quiet small" aria-label={`${again}: ${type} ${id}`}>
              {again}
            </button>
          </Form>
        )}
      </td>
    </tr>
  );
}

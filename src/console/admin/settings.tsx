import type { Context, Hono } from 'hono';
import { writeAudit } from '../../store/audit.ts';
import {
  changeSettings,
  findSubAccount,
  listSubAccounts,
  settingsSchema,
  versionOf,
} from '../../store/sub-accounts.ts';
import type { ListedSubAccount, Settings, SubAccount } from '../../store/sub-accounts.ts';
import { hrefOf, Pieces, sayingPage, Value } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Empty, Field, Form, Pager, Table } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { counted, findText, meaningOf, words } from '../texts/texts.ts';
import { withAdmin, withAdminForm } from './app.tsx';
import type { AdminPages, AdminSession } from './app.tsx';
import { gatewayPage } from './gateway-nav.tsx';

const pageMax = 50;

/** `/admin/settings`: the sub-accounts and their settings; `/admin/configuration`: how the gateway was started. */
export function addSettings(app: Hono, pages: AdminPages): void {
  app.get('/admin/settings', (c) =>
    withAdmin(c, pages, (session) => {
      const [after, prefix] = [c.req.query('after') ?? '', (c.req.query('id') ?? '').trim()];
      return listPage(pages, session, { after, prefix });
    }),
  );
  app.get('/admin/settings/:sid', (c) =>
    withAdmin(c, pages, async (session) => {
      const subAccount = await findSubAccount(pages.db, c.req.param('sid'));
      if (subAccount === undefined) return sayingPage('not_found', 404);
      const { settings } = subAccount;
      return oneSubAccount(pages, session, {
        subAccount,
        settings,
        now: settings,
        saved: c.req.query('saved') === '1',
      });
    }),
  );
  app.post('/admin/settings/:sid', (c) =>
    withAdminForm(c, pages, (session, form) => save(c, pages, session, { form, id: c.req.param('sid') })),
  );
  app.get('/admin/configuration', (c) => withAdmin(c, pages, (session) => configurationPage(pages, session)));
}

async function listPage(
  pages: AdminPages,
  session: AdminSession,
  { after, prefix }: { after: string; prefix: string },
): Promise<Page> {
  const found = await listSubAccounts(pages.db, { after, prefix, limit: pageMax + 1 });
  const shown = found.slice(0, pageMax);
  const path = hrefOf(pages.site, '/admin/settings');
  const query = (more: Record<string, string>) => new URLSearchParams({ id: prefix, ...more }).toString();
  return gatewayPage(pages, session, {
    tab: 'settings',
    body: (
      <>
        <form class="filters" action={path}>
          <Field
            name="id"
            label={words('settings.find')}
            value={prefix}
            inputmode="search"
            autocomplete="off"
          />
          <button class="quiet">{words('page.search')}</button>
        </form>
        {shown.length === 0 ? (
          <Empty>
            <p>{words(prefix === '' ? 'settings.empty' : 'settings.not_found')}</p>
          </Empty>
        ) : (
          <SubAccounts {...{ shown, path }} />
        )}
        <Pager
          first={after === '' ? null : `${path}?${query({})}`}
          next={found.length > pageMax ? `${path}?${query({ after: shown.at(-1)?.id ?? '' })}` : null}
        />
      </>
    ),
  });
}

function SubAccounts({ shown, path }: { shown: ListedSubAccount[]; path: string }) {
  return (
    <Table label={words('nav.settings')}>
      <thead>
        <tr>
          <th scope="col">{words('settings.sub_account')}</th>
          <th scope="col">{words('settings.name')}</th>
          <th scope="col">{words('settings.provider')}</th>
          <th scope="col">{words('settings.changed')}</th>
        </tr>
      </thead>
      <tbody>
        {shown.map(({ id, name, provider, changed }) => (
          <tr>
            <th scope="row">
              <a href={`${path}/${encodeURIComponent(id)}`}>
                <Value of={id} />
              </a>
            </th>
            <td>
              <Value of={name} />
            </td>
            <td data-label={words('settings.provider')}>
              {provider === null ? words('page.none') : <Value of={provider.host} />}
            </td>
            <td>{changed === 0 ? words('settings.defaults') : counted('settings.changed_count', changed)}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

/** Every setting, with its values, the default first, as they stand in a form. */
const choices = Object.entries(settingsSchema.shape).map(([name, field]) => {
  const byDefault = String(field.parse(undefined));
  const inner = field.unwrap();
  const values = 'options' in inner ? [...inner.options] : ['true', 'false'];
  return {
    name: name as keyof Settings,
    values: [byDefault, ...values.filter((value) => value !== byDefault)],
  };
});

async function save(
  c: Context,
  pages: AdminPages,
  session: AdminSession,
  { form, id }: { form: URLSearchParams; id: string },
): Promise<Page | Response> {
  const given = Object.fromEntries(
    choices.map(({ name }) => {
      const value = form.get(name);
      return [name, value === 'true' ? true : value === 'false' ? false : value];
    }),
  );
  const settings = settingsSchema.safeParse(given);
  // Our own page sends nothing else.
  if (!settings.success) return sayingPage('not_same_origin', 422);
  const { administratorId } = session;
  const shown = form.get('shown') ?? '';
  const before = await pages.db.transaction(async (tx) => {
    const old = await changeSettings(tx, id, { settings: settings.data, shown });
    if (old === undefined || versionOf(old) !== shown) return old;
    const changed = choices.filter(({ name }) => old[name] !== settings.data[name]);
    const details = Object.fromEntries(
      changed.map(({ name }) => [name, `${old[name]} → ${settings.data[name]}`]),
    );
    if (changed.length > 0)
      await writeAudit(tx, { administratorId, action: 'settings.changed', subject: id, details });
    return old;
  });
  if (before === undefined) return sayingPage('not_found', 404);
  if (versionOf(before) !== shown) {
    const subAccount = await findSubAccount(pages.db, id);
    if (subAccount === undefined) return sayingPage('not_found', 404);
    return oneSubAccount(pages, session, { subAccount, settings: settings.data, now: before, saved: false });
  }
  return c.redirect(hrefOf(pages.site, `/admin/settings/${encodeURIComponent(id)}?saved=1`), 303);
}

function oneSubAccount(
  pages: AdminPages,
  session: AdminSession,
  // What is chosen in the form, and what holds; other than that where somebody else was quicker.
  {
    subAccount,
    settings,
    now,
    saved,
  }: { subAccount: SubAccount; settings: Settings; now: Settings; saved: boolean },
): Promise<Page> {
  const isOvertaken = settings !== now;
  const { id, name, provider } = subAccount;
  const path = hrefOf(pages.site, '/admin/settings');
  return gatewayPage(pages, session, {
    tab: 'settings',
    title: name === '' ? id : name,
    list: { href: path, label: words('settings.back') },
    status: isOvertaken ? 409 : 200,
    body: (
      <>
        {saved && (
          <div class="outcome good" role="status">
            <p>{words('settings.saved')}</p>
          </div>
        )}
        {isOvertaken && (
          <div class="outcome bad" role="alert">
            <p>{words('settings.overtaken')}</p>
          </div>
        )}
        <Facts {...{ id, provider }} />
        <Form
          action={`${path}/${encodeURIComponent(id)}`}
          formToken={formTokenOf(pages, session)}
          class="card settings"
        >
          <p class="lead">{words('settings.text')}</p>
          <input type="hidden" name="shown" value={versionOf(now)} />
          {choices.map((choice) => (
            <Setting {...choice} chosen={String(settings[choice.name])} now={String(now[choice.name])} />
          ))}
          <p class="actions">
            <button>{words('page.save')}</button>
          </p>
        </Form>
      </>
    ),
  });
}

function Facts({ id, provider }: Pick<SubAccount, 'id' | 'provider'>) {
  return (
    <section class="card">
      <dl class="facts">
        <dt>{words('settings.sub_account')}</dt>
        <dd>
          <Value of={id} />
        </dd>
        <dt>{words('settings.provider')}</dt>
        <dd>
          {provider === null ? (
            words('settings.no_provider')
          ) : (
            <Value of={`${provider.host}:${provider.port}, ${provider.from}`} />
          )}
        </dd>
      </dl>
    </section>
  );
}

function Setting(props: { name: string; values: string[]; chosen: string; now: string }) {
  const { name, values, chosen, now } = props;
  return (
    <fieldset>
      <legend>
        <Pieces of={findText(`setting.${name}`) ?? []} />
      </legend>
      {values.map((value, index) => (
        <label class="radio">
          <input type="radio" name={name} value={value} checked={value === chosen} />
          <span>
            <Pieces of={findText(`setting.${name}.${value}`) ?? []} />
            {index === 0 && <small>{words('settings.default')}</small>}
            {value === now && chosen !== now && <small>{words('settings.holds_now')}</small>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function configurationPage(pages: AdminPages, session: AdminSession): Promise<Page> {
  return gatewayPage(pages, session, {
    tab: 'configuration',
    body: (
      <>
        <p class="lead">{words('configuration.text')}</p>
        <Table label={words('nav.configuration')}>
          <thead>
            <tr>
              <th scope="col">{words('configuration.setting')}</th>
              <th scope="col">{words('configuration.value')}</th>
            </tr>
          </thead>
          <tbody>
            {pages.operator.settings.map(({ name, value, isDefault, explain }) => (
              <tr>
                <th scope="row">
                  <code>{name}</code>
                  <small>{meaningOf({ name, explain })}</small>
                </th>
                <td>
                  {value === null ? (
                    words('configuration.secret')
                  ) : value === '' ? (
                    words('configuration.empty')
                  ) : (
                    <code>{value}</code>
                  )}
                  {isDefault && <small>{words('settings.default')}</small>}
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      </>
    ),
  });
}

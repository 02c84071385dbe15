import type { Found } from '../../mailbox/discovery.ts';
import type { LoginProblem, PasswordLogin } from '../../mailbox/prove.ts';
import { validAddress } from '../../message/addresses.ts';
import type { ServerAddress } from '../../provider/providers.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import { Failed, FoundBox, ServersInShort } from './imap-found.tsx';
import { WayBack } from './outcome-pages.tsx';
import { Whom } from './start-pages.tsx';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import type { Page } from '../page.tsx';

/** What was typed, by the names of the fields. */
export type Typed = Record<FieldName, string>;

const fieldNames = [
  'address',
  'password',
  'user',
  'imap_host',
  'imap_port',
  'imap_security',
  'smtp_host',
  'smtp_port',
  'smtp_security',
] as const;
type FieldName = (typeof fieldNames)[number];

/** What a field may hold at most; a password of that length is none of a person's. */
const lengthMax = 1024;
const securities = ['tls', 'starttls', 'none'] as const;

/** The fields before anything was typed: as the mailbox is connected now, else as most hosts want it. */
export function emptyForm(link: ConnectLink): Typed {
  const servers = link.current?.servers ?? null;
  const server = (name: 'imap' | 'smtp', port: string): [string, string][] => [
    [`${name}_host`, servers?.[name].host ?? ''],
    [`${name}_port`, String(servers?.[name].port ?? port)],
    [`${name}_security`, servers?.[name].security ?? 'tls'],
  ];
  const known = servers === null ? null : link.current;
  return {
    ...blank,
    address: known?.address ?? '',
    user: known === null || known.login === known.address ? '' : known.login,
    ...Object.fromEntries([...server('imap', '993'), ...server('smtp', '465')]),
  };
}

const blank = Object.fromEntries(fieldNames.map((name) => [name, ''])) as Typed;

/** A login as it was typed, or what is wrong with it, field by field. */
export type Parsed = { ok: true; address: string; login: PasswordLogin } | { ok: false; wrong: Wrong };

/** By field, the text that says what is wrong with it. */
export type Wrong = Partial<Record<FieldName, PlainKey>>;

/** What is wrong with an address and a password alone. */
export function wrongInFirst(typed: Typed): Wrong {
  const wrong: Wrong = {};
  if (!validAddress(typed.address)) wrong.address = 'field.address';
  if (typed.password === '' || typed.password.length > lengthMax) wrong.password = 'field.password';
  return wrong;
}

export function parseForm(typed: Typed): Parsed {
  const wrong = wrongInFirst(typed);
  if (typed.user.length > 320) wrong.user = 'field.user';
  const imap = parseServer(typed, 'imap', wrong);
  const smtp = parseServer(typed, 'smtp', wrong);
  if (imap === null || smtp === null || Object.keys(wrong).length > 0) return { ok: false, wrong };
  const user = typed.user === '' ? typed.address : typed.user;
  return { ok: true, address: typed.address, login: { imap, smtp, user, password: typed.password } };
}

/** The fields of a form that was sent: trimmed, but for the password. */
export function typedIn(form: URLSearchParams): Typed {
  const values = fieldNames.map((name) => {
    const value = form.get(name) ?? '';
    return [name, name === 'password' ? value : value.trim().slice(0, lengthMax)];
  });
  return Object.fromEntries(values) as Typed;
}

function parseServer(typed: Typed, name: 'imap' | 'smtp', wrong: Wrong): ServerAddress | null {
  const host = typed[`${name}_host`];
  const port = Number(typed[`${name}_port`]);
  const security = securities.find((one) => one === typed[`${name}_security`]);
  if (!/^[^\s/\\@?#]{1,253}$/.test(host)) wrong[`${name}_host`] = 'field.host';
  if (!Number.isInteger(port) || port < 1 || port > 65_535) wrong[`${name}_port`] = 'field.port';
  if (security === undefined) wrong[`${name}_security`] = 'field.security';
  return security === undefined ? null : { host, port, security };
}

/** The fields with the settings that were found for the address. */
export function filledBy(typed: Typed, { servers, user }: Found): Typed {
  if (servers === null) return typed;
  const server = (name: 'imap' | 'smtp'): [string, string][] => [
    [`${name}_host`, servers[name].host],
    [`${name}_port`, String(servers[name].port)],
    [`${name}_security`, servers[name].security],
  ];
  return { ...typed, user: user ?? '', ...Object.fromEntries([...server('imap'), ...server('smtp')]) };
}

export type FormProps = {
  link: ConnectLink;
  url: string;
  formToken: string;
  typed: Typed;
  wrong?: Wrong;
  problem?: LoginProblem | undefined;
  /** How the settings were found; null: they were typed. */
  found?: Found | null;
  /** The password that was typed before, sealed; null: it must be typed. */
  kept?: string | null;
};

/** The first step: the settings are found from the address. */
export function addressPage({ link, url, formToken, typed, wrong = {} }: FormProps): Page {
  const field = (name: FieldName) => ({ name, value: typed[name], wrong: wrong[name] });
  return {
    title: words('imap.title'),
    status: Object.keys(wrong).length > 0 ? 422 : 200,
    body: (
      <>
        <p class="lead">{words('imap.lead')}</p>
        <Whom link={link} />
        <Trouble wrong={wrong} />
        <form method="post" action={`${url}/imap`}>
          <input type="hidden" name="form_token" value={formToken} />
          <Field {...field('address')} label="imap.address" type="email" autocomplete="email" />
          <Password wrong={wrong.password} />
          <p class="actions">
            <button>{words('imap.find')}</button>
            <small>{words('imap.find_wait')}</small>
          </p>
        </form>
        <p class="actions">
          <a class="button quiet" href={`${url}/imap?by=hand`}>
            {words('imap.by_hand')}
          </a>
          <Elsewhere link={link} url={url} />
        </p>
      </>
    ),
  };
}

/** The second step: every setting, to be looked at, changed and tried. */
export function imapPage(props: FormProps): Page {
  const { link, url, formToken, typed, wrong = {}, problem, found = null, kept = null } = props;
  const field = (name: FieldName) => ({ name, value: typed[name], wrong: wrong[name] });
  const isBad = problem !== undefined || Object.keys(wrong).length > 0;
  const isSure = found !== null && found.by !== 'guess' && found.servers !== null;
  return {
    title: words('imap.title'),
    status: isBad ? 422 : 200,
    body: (
      <>
        <p class="lead">{words(found === null ? 'imap.lead_by_hand' : 'imap.lead_found')}</p>
        <Whom link={link} />
        <Trouble wrong={wrong} />
        {problem !== undefined && <Failed problem={problem} typed={typed} />}
        {found !== null && <FoundBox found={found} address={typed.address} />}
        <form method="post" action={`${url}/imap`} class="mail-host">
          <input type="hidden" name="form_token" value={formToken} />
          <Field {...field('address')} label="imap.address" type="email" autocomplete="email" />
          <Password wrong={wrong.password} kept={kept} />
          <details open={!isSure || isBad}>
            <summary>
              <span>{words('imap.servers')}</span>
              {isSure && !isBad && <ServersInShort typed={typed} />}
            </summary>
            <Field
              {...field('user')}
              label="imap.user"
              hint="imap.user_hint"
              autocomplete="username"
              optional
            />
            {(['imap', 'smtp'] as const).map((name) => (
              <fieldset id={name}>
                <legend>{words(name === 'imap' ? 'imap.incoming' : 'imap.outgoing')}</legend>
                <Field {...field(`${name}_host`)} label="imap.host" placeholder={`${name}.example.com`} />
                <div class="row">
                  <Field {...field(`${name}_port`)} label="imap.port" inputmode="numeric" />
                  <Security {...field(`${name}_security`)} />
                </div>
              </fieldset>
            ))}
          </details>
          <p class="actions">
            <button>{words('imap.submit')}</button>
            <small>{words('imap.wait')}</small>
          </p>
        </form>
        <p class="actions">
          <Elsewhere link={link} url={url} />
        </p>
      </>
    ),
  };
}

/** Other ways than this one. */
function Elsewhere({ link, url }: { link: ConnectLink; url: string }) {
  return (
    <>
      {link.provider === null && (
        <a class="button quiet" href={url}>
          {words('imap.other')}
        </a>
      )}
      <WayBack link={link} state="cancelled" />
    </>
  );
}

/** Never sent back in clear; one that was typed for the page before comes back sealed. */
function Password({ wrong, kept = null }: { wrong: PlainKey | undefined; kept?: string | null }) {
  return (
    <>
      {kept !== null && <input type="hidden" name="kept" value={kept} />}
      <Field
        name="password"
        value=""
        wrong={wrong}
        label="imap.password"
        hint={kept === null ? 'imap.password_hint' : 'imap.password_kept'}
        type="password"
        autocomplete="current-password"
        optional={kept !== null}
      />
    </>
  );
}

/** What is wrong, above everything, with ways to where it is. */
function Trouble({ wrong }: { wrong: Wrong }) {
  const fields = Object.entries(wrong);
  if (fields.length === 0) return null;
  return (
    <div class="outcome bad" role="alert">
      <p>
        <strong>{words('imap.check')}</strong>
      </p>
      <ul>
        {fields.map(([name, text]) => (
          <li>
            <a href={`#${name}`}>{`${labelOf(name)}: ${words(text)}`}</a>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** A field as the summary calls it: both servers have fields of the same names. */
function labelOf(name: string): string {
  const [, server, part] = /^(imap|smtp)_(host|port|security)$/.exec(name) ?? [];
  if (server === undefined || part === undefined) return words(`imap.${name}` as PlainKey);
  const group = words(server === 'imap' ? 'imap.incoming' : 'imap.outgoing');
  return `${group} – ${words(`imap.${part}` as PlainKey)}`;
}

type FieldProps = {
  name: FieldName;
  value: string;
  wrong: PlainKey | undefined;
  label: PlainKey;
  hint?: PlainKey;
  type?: string;
  autocomplete?: string;
  placeholder?: string;
  inputmode?: 'numeric';
  optional?: boolean;
};

function Field(props: FieldProps) {
  const { name, wrong, hint, label, optional, ...input } = props;
  const notes = [hint === undefined ? [] : `${name}-hint`, wrong === undefined ? [] : `${name}-wrong`].flat();
  return (
    <label class="field" for={name}>
      <span>{words(label)}</span>
      <input
        {...input}
        id={name}
        name={name}
        required={optional !== true}
        autocapitalize="none"
        spellcheck={false}
        maxlength={lengthMax}
        {...(notes.length > 0 ? { 'aria-describedby': notes.join(' ') } : {})}
        {...(wrong === undefined ? {} : { 'aria-invalid': true })}
      />
      {hint !== undefined && <small id={`${name}-hint`}>{words(hint)}</small>}
      {wrong !== undefined && (
        <small id={`${name}-wrong`} class="wrong">
          {words(wrong)}
        </small>
      )}
    </label>
  );
}

function Security({ name, value }: { name: FieldName; value: string }) {
  return (
    <label class="field" for={name}>
      <span>{words('imap.security')}</span>
      <select id={name} name={name}>
        {securities.map((one) => (
          <option value={one} selected={one === value}>
            {words(`imap.${one}`)}
          </option>
        ))}
      </select>
    </label>
  );
}

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { Hono } from 'hono';
import type { Operator } from '../../src/console/admin/operator.ts';
import { createConsole } from '../../src/console/app.tsx';
import type { ConsoleDeps } from '../../src/console/app.tsx';
import type { Site } from '../../src/console/page.tsx';
import { systemClock } from '../../src/lib/clock.ts';
import { Failure } from '../../src/lib/failure.ts';
import type { OfferedProvider } from '../../src/mailbox/connect.ts';
import { createDiscover } from '../../src/mailbox/discovery.ts';
import type { Discover } from '../../src/mailbox/discovery.ts';
import type { LookAhead } from '../../src/mailbox/dry-run.ts';
import type { ProviderName } from '../../src/provider/providers.ts';
import { newId } from '../../src/lib/id.ts';
import type { AdministratorId } from '../../src/lib/id.ts';
import { insertConsoleSession } from '../../src/store/console-sessions.ts';
import type { SignedIn } from '../../src/store/console-sessions.ts';
import { run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { insertConnectLink } from '../../src/store/connect-links.ts';
import { createEventSignal } from '../../src/webhook/follow.ts';
import type { EventSignal } from '../../src/webhook/follow.ts';
import { createWebhookAgent } from '../../src/webhook/request.ts';
import { memoryBlobs } from '../filing/world.ts';
import { startConnecting, type Client, type ConnectingUnderTest } from '../mailbox/connecting.ts';
import { usualLimits } from '../support/limits.ts';
import { followConsent } from '../support/identity.ts';

export const publicUrl = 'http://gateway.test';

/** The pages over everything real but the mail provider. */
export type PagesUnderTest = ConnectingUnderTest & {
  app: Hono;
  /** What the app is made of. */
  pages: ConsoleDeps & { site: Site };
  blobs: ReturnType<typeof memoryBlobs>;
  eventSignal: EventSignal;
  /** Workers that were woken. */
  wakes: string[];
  /** A link's address, as the CRM gets it. */
  link(options?: Partial<LinkOptions>): Promise<string>;
  /** A browser of its own: cookies and all. */
  browser(options?: BrowserOptions): Browser;
  /** The browser of an administrator who is signed in. */
  administrator(email?: string, options?: BrowserOptions): Promise<Browser>;
  /** The browser of a person who has opened their own pages. */
  person(member?: { subAccountId: string; userId: string; returnUrl?: string | null }): Promise<Browser>;
};

/** `client`: the address that it asks from; without one, another after each 500 pages, so that none asks too often. */
type BrowserOptions = { cookies?: boolean; fetchSite?: boolean; language?: string; client?: string };

type LinkOptions = {
  subAccountId: string;
  userId: string;
  provider: ProviderName | null;
  returnUrl: string | null;
  replace: boolean;
  lifeMs: number;
};

/** What a browser is shown; `location` where it is sent on. */
export type Shown = {
  status: number;
  html: string;
  /** Words of the page, without tags. */
  text: string;
  title: string;
  location: string | null;
  headers: Headers;
};

export type Browser = {
  /** What it would send, by name. */
  cookies(): ReadonlyMap<string, string>;
  get(url: string, headers?: Record<string, string>): Promise<Shown>;
  /** Sends a form of the page shown last, the first below its bar or the one to `action`, with further fields. */
  submit(fields?: Record<string, string>, action?: string): Promise<Shown>;
  /** Sends any form, as another site's page might. */
  post(url: string, fields: Record<string, string>, headers?: Record<string, string>): Promise<Shown>;
  /** Opens a link and goes through the provider's consent page as `login`, up to the redirect back. */
  consent(link: string, login: string, provider?: ProviderName): Promise<URL>;
  /** Goes on from the redirect back, or from a form, and says yes where the page asks; what is shown in the end. */
  finish(from: string | Shown): Promise<Shown>;
  /** All of it. */
  connect(link: string, login: string, provider?: ProviderName): Promise<Shown>;
};

type PagesOptions = {
  /** One that is there already; it is not closed with the rest. */
  db?: Db;
  identity?: { url: string } & Client;
  more?: readonly OfferedProvider[];
  secure?: boolean;
  /** Where the app is served, if it is. */
  servedAt?: () => string;
  crmOrigins?: readonly string[];
  loggingDomain?: string | null;
  lookAhead?: LookAhead;
  discover?: Discover;
  operator?: Partial<Operator>;
};

/** How the gateway was started, where a test does not say. */
const operator: Operator = {
  httpProxies: [],
  identity: null,
  settings: [],
  loggingDomain: null,
  examine: () => Promise.resolve([]),
};

/** What time it is on the pages that were started last: it stays so, that an app's code is as old as a test says. */
export let pagesNow = Date.now();

export async function startPages(options: PagesOptions = {}): Promise<PagesUnderTest> {
  const startedAt = Date.now();
  pagesNow = startedAt;
  const world = await startConnecting(options);
  const site = options.secure === true ? publicUrl.replace('http:', 'https:') : publicUrl;
  const blobs = memoryBlobs();
  const eventSignal = createEventSignal();
  const wakes: string[] = [];
  const dispatcher = createWebhookAgent(world.netGuard);
  const deps: ConsoleDeps = {
    ...world,
    blobs,
    eventSignal,
    dispatcher,
    wakeErrands: () => undefined,
    wakeSender: () => void wakes.push('sender'),
    wakeFiler: () => void wakes.push('filer'),
    wakeHousekeeping: () => void wakes.push('housekeeping'),
    clock: { ...systemClock, now: () => startedAt },
    lookAhead:
      options.lookAhead ?? (() => Promise.reject(new Failure('temporary', 'no_look', 'not in this test'))),
    discover:
      options.discover ??
      createDiscover({
        resolve: () => Promise.reject(new Error('no DNS')),
        fetchText: () => Promise.resolve(null),
      }),
    publicUrl: options.servedAt ?? (() => site),
    limitsOf: usualLimits,
    crmOrigins: options.crmOrigins ?? [],
    loggingDomain: options.loggingDomain === undefined ? 'log.crm.example' : options.loggingDomain,
    operator: { ...operator, ...options.operator },
  };
  const app = createConsole(deps);
  return {
    ...world,
    blobs,
    app,
    pages: { ...deps, site: { url: deps.publicUrl, crmOrigins: deps.crmOrigins } },
    eventSignal,
    wakes,
    async close() {
      await dispatcher.close();
      await world.close();
    },
    async link(more = {}) {
      const token = randomBytes(32).toString('base64url');
      const made = await insertConnectLink(world.db, {
        subAccountId: 's1',
        userId: 'ann',
        provider: null,
        returnUrl: null,
        replace: false,
        lifeMs: 60_000,
        ...more,
        tokenHash: createHash('sha256').update(token).digest(),
      });
      assert.notEqual(made, null, 'no member');
      return `${site}/connect/${token}`;
    },
    browser: (which = {}) => createBrowser(app, which),
    async administrator(email = 'root@operator.example', which = {}) {
      const id = newId('adm');
      await run(
        world.db,
        `insert into administrators (id, email, canonical) values (:id, :email, :email) on conflict (canonical) do nothing`,
        { id, email },
      );
      const [known] = await world.sql<{ id: AdministratorId }>(
        `select id from administrators where canonical = '${email}'`,
      );
      return signedIn(world.db, app, { kind: 'administrator', administratorId: known?.id ?? id }, which);
    },
    person: (member = { subAccountId: 's1', userId: 'ann' }) =>
      signedIn(world.db, app, { kind: 'user', returnUrl: null, ...member }),
  };
}

/** As after a sign-in; how that goes is the business of its own tests. */
async function signedIn(db: Db, app: Hono, of: SignedIn, options: BrowserOptions = {}): Promise<Browser> {
  const token = randomBytes(32).toString('base64url');
  const tokenHash = createHash('sha256').update(token).digest();
  await insertConsoleSession(db, { tokenHash, of, lifeMs: 3_600_000 });
  return createBrowser(app, options, [[of.kind === 'user' ? 'twoway-mailbox' : 'twoway-admin', token]]);
}

function createBrowser(
  app: Hono,
  options: BrowserOptions,
  cookies: readonly (readonly [string, string])[] = [],
): Browser {
  const jar = new Map(cookies);
  let asked = 0;
  let page = '';
  let at = publicUrl;
  const show = async (url: string, init: RequestInit): Promise<Shown> => {
    const headers = new Headers(init.headers);
    if (options.language !== undefined) headers.set('accept-language', options.language);
    if (jar.size > 0) headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
    const remoteAddress = options.client ?? `192.0.2.${1 + Math.floor(asked / 500)}`;
    asked += 1;
    const incoming = { socket: { remoteAddress } };
    const response = await app.request(url, { ...init, headers }, { incoming });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (options.cookies !== false) jar.set(name, value);
    }
    const html = await response.text();
    if (html !== '') [page, at] = [html, url];
    const text = decode(html.replaceAll(/<(\/?bdi|wbr\/)>/g, '').replaceAll(/<[^>]+>/g, ' ')).replaceAll(
      /\s+/g,
      ' ',
    );
    return {
      status: response.status,
      html,
      text,
      title: decode(/<title>([^<]*)</.exec(html)?.[1] ?? ''),
      location: response.headers.get('location'),
      headers: response.headers,
    };
  };
  const get: Browser['get'] = (url, headers = {}) => show(url, { headers });
  const post: Browser['post'] = (url, fields, headers = {}) =>
    show(url, { method: 'POST', body: new URLSearchParams(fields), headers });
  const submit: Browser['submit'] = (fields = {}, action) => {
    const content = page.slice(page.indexOf('<main'));
    const forms = [...content.matchAll(/<form method="post" action="([^"]+)"[\s\S]*?<\/form>/g)];
    const form =
      forms.find(([, goesTo]) => action === undefined || decode(goesTo ?? '') === action) ??
      assert.fail(`no form ${action ?? ''}`);
    const hidden = [...form[0].matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)];
    const kept = Object.fromEntries(hidden.map(([, name = '', value = '']) => [name, decode(value)]));
    const site = options.fetchSite === false ? {} : { 'sec-fetch-site': 'same-origin' };
    return post(new URL(decode(form[1] ?? ''), at).href, { ...kept, ...fields }, site);
  };
  const consent: Browser['consent'] = async (link, login, provider = 'gmail') => {
    await get(link);
    const { location, text } = await submit({ provider });
    assert(location !== null, text);
    return followConsent(location, login);
  };
  const finish: Browser['finish'] = async (from) => {
    const shown = typeof from === 'string' ? await get(from) : from;
    if (shown.location?.includes('/confirm/') !== true) return shown;
    await get(new URL(shown.location, publicUrl).href);
    const { location, text } = await submit({ decision: 'connect' });
    assert(location !== null, text);
    return get(new URL(location, publicUrl).href);
  };
  return {
    cookies: () => jar,
    get,
    post,
    submit,
    consent,
    finish,
    connect: async (link, login, provider) => finish((await consent(link, login, provider)).href),
  };
}

function decode(html: string): string {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
  return html.replaceAll(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => named[name] ?? '');
}

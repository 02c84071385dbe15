import type { Context, Hono } from 'hono';
import type { Child } from 'hono/jsx';
import { messageOf } from '../../lib/failure.ts';
import { resolveProvider } from '../../provider/providers.ts';
import { hrefOf, Pieces, Say, sendPart } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Badge, Copyable, Form } from '../parts.tsx';
import type { Tone } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { counted, findingSaid, words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { withAdmin, withAdminForm } from './app.tsx';
import type { AdminPages, AdminSession } from './app.tsx';
import { gatewayPage } from './gateway-nav.tsx';
import { callbackOf } from './identity.tsx';
import type { Examined } from './operator.ts';

/** Everything that is asked has its own few seconds; this is for all of it. */
const examineMsMax = 30_000;

/** `/admin/setup`: what Google, Microsoft and DNS must be told, and whether all is as the gateway needs it. */
export function addSetup(app: Hono, pages: AdminPages): void {
  app.get('/admin/setup', (c) => withAdmin(c, pages, (session) => setupPage(pages, session, null)));
  app.post('/admin/setup/examine', (c) =>
    withAdminForm(c, pages, async (session) => {
      const found = await examineInTime(pages);
      return isPart(c) ? sendPart(c, <Findings found={found} />) : setupPage(pages, session, found);
    }),
  );
}

function isPart(c: Context): boolean {
  return c.req.header('hx-request') === 'true';
}

/** Null: it took too long, or could not be done. */
async function examineInTime({ operator, clock, log }: AdminPages): Promise<readonly Examined[] | 'failed'> {
  const done = new AbortController();
  const late = clock.sleep(examineMsMax, done.signal).then(() => 'failed' as const);
  try {
    return await Promise.race([operator.examine(), late]);
  } catch (error) {
    log.error({ error: messageOf(error) }, 'the installation could not be examined');
    return 'failed';
  } finally {
    done.abort();
  }
}

function setupPage(
  pages: AdminPages,
  session: AdminSession,
  found: readonly Examined[] | 'failed' | null,
): Promise<Page> {
  const { site, operator } = pages;
  const action = hrefOf(site, '/admin/setup/examine');
  return gatewayPage(pages, session, {
    tab: 'setup',
    body: (
      <>
        <section class="card">
          <h2>{words('setup.examine')}</h2>
          <p class="lead">{words('setup.examine_text')}</p>
          <Form action={action} formToken={formTokenOf(pages, session)}>
            <button hx-post={action} hx-target="#findings" hx-swap="outerHTML" hx-disable="this">
              {words('setup.examine_button')}
            </button>
          </Form>
          <Findings found={found} />
        </section>
        <div class="cards wide">
          <Mail pages={pages} name="gmail" />
          <Mail pages={pages} name="outlook" />
          <LoggingDomain pages={pages} />
          <SetupCard
            title={words('setup.identity')}
            isDone={operator.identity !== null}
            text={words('setup.identity_text')}
          >
            <Copies label={words('setup.redirect')} text={callbackOf(pages)} />
          </SetupCard>
        </div>
      </>
    ),
  });
}

function Findings({ found }: { found: readonly Examined[] | 'failed' | null }) {
  return (
    <div id="findings" role="status">
      {found === 'failed' && <p class="outcome bad">{words('setup.failed')}</p>}
      {Array.isArray(found) && <FindingList found={found as readonly Examined[]} />}
    </div>
  );
}

const tones = { ok: 'good', warning: 'still', problem: 'bad' } as const satisfies Record<string, Tone>;

function FindingList({ found }: { found: readonly Examined[] }) {
  const problems = found.filter(({ finding }) => finding.level === 'problem').length;
  const order = ['problem', 'warning', 'ok'] as const;
  const sorted = order.flatMap((level) => found.filter(({ finding }) => finding.level === level));
  return (
    <>
      <p>{problems === 0 ? words('setup.sound') : counted('setup.problems', problems)}</p>
      <ul class="findings">
        {sorted.map(({ name, finding }) => (
          <li>
            <Badge tone={tones[finding.level]}>{words(`setup.${finding.level}`)}</Badge>
            <div>
              <strong>{words(`finding.${name}`)}</strong>: <Pieces of={findingSaid(finding.found)} />
              {finding.level !== 'ok' && (
                <small>
                  <Pieces of={findingSaid(finding.fix)} />
                </small>
              )}
            </div>
          </li>
        ))}
      </ul>
    </>
  );
}

function SetupCard(props: { title: string; isDone: boolean; text: string; children: Child }) {
  return (
    <section class="card">
      <h2>{props.title}</h2>
      <p>
        <Badge tone={props.isDone ? 'good' : 'plain'}>
          {words(props.isDone ? 'setup.is_set' : 'setup.is_not_set')}
        </Badge>
      </p>
      <p class="lead">{props.text}</p>
      {props.children}
    </section>
  );
}

/** A text that is copied to somebody else's page. */
function Copies({ label, text }: { label: string; text: string }) {
  return (
    <p class="copies">
      <span>{label}</span>
      <Copyable text={text} />
    </p>
  );
}

/** Google and Microsoft, who must know the gateway before anybody can allow it anything. */
function Mail({ pages, name }: { pages: AdminPages; name: 'gmail' | 'outlook' }) {
  const offered = pages.offered.get(name);
  const { label, scopes } = offered?.provider ?? resolveProvider(name);
  return (
    <SetupCard
      title={label}
      isDone={offered !== undefined}
      text={words(`setup.${name}_text` satisfies PlainKey)}
    >
      <Copies label={words('setup.redirect')} text={`${pages.site.url()}/connect/callback`} />
      <Copies label={words('setup.scopes')} text={[...scopes.signIn, ...scopes.mail].join(' ')} />
      <p>
        <Say text={`setup.${name}_settings`} />
      </p>
    </SetupCard>
  );
}

function LoggingDomain({ pages }: { pages: AdminPages }) {
  const { loggingDomain } = pages.operator;
  return (
    <SetupCard
      title={words('setup.logging')}
      isDone={loggingDomain !== null}
      text={words(loggingDomain === null ? 'setup.no_logging_text' : 'setup.logging_text')}
    >
      {loggingDomain !== null && (
        <Copies
          label={words('setup.mx')}
          text={`${loggingDomain}. 3600 IN MX 10 ${mailHost(pages, loggingDomain)}.`}
        />
      )}
      {loggingDomain !== null && <p>{words('setup.port')}</p>}
    </SetupCard>
  );
}

/** The machine that takes the mail is most often the one of the pages; an MX record names no address (RFC 2181 §10.3). */
function mailHost({ site }: AdminPages, loggingDomain: string): string {
  const { hostname } = new URL(site.url());
  const isName = hostname.includes('.') && !/^[\d.]+$|^\[/.test(hostname);
  return isName ? hostname : loggingDomain.replace(/^[^.]+/, 'mx');
}

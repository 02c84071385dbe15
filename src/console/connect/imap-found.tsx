import type { Found } from '../../mailbox/discovery.ts';
import { stepsOf } from '../../mailbox/login-steps.ts';
import type { LoginStep } from '../../mailbox/login-steps.ts';
import type { LoginProblem } from '../../mailbox/prove.ts';
import { mailHostByServer } from '../../provider/mail-hosts.ts';
import { Pieces, Say, Value } from '../page.tsx';
import { findText, words } from '../texts/texts.ts';
import type { Typed } from './imap-form.tsx';

/** By what the settings were found, and what to know of the host. */
export function FoundBox({ found, address }: { found: Found; address: string }) {
  const { by, label, servers, hint } = found;
  const domain = address.slice(address.lastIndexOf('@') + 1);
  const isSure = by !== 'guess' && servers !== null;
  const said = findText(`found.${servers === null ? 'none' : by}`, { domain, host: label ?? domain }) ?? [];
  return (
    <div class={`outcome ${isSure ? 'good' : 'still'}`} role="status">
      <p>
        <Pieces of={said} />
      </p>
      {hint !== null && (
        <p>
          <Say text={`hint.${hint}`} with={{ host: label ?? domain }} />
        </p>
      )}
    </div>
  );
}

/** Both servers in a line each, where nobody has to look at all of it. */
export function ServersInShort({ typed }: { typed: Typed }) {
  return (
    <>
      {(['imap', 'smtp'] as const).map((name) => (
        <small>
          {name.toUpperCase()} <Value of={typed[`${name}_host`]} />, {typed[`${name}_port`]},{' '}
          {words(`imap.${securityOf(typed, name)}`)}
        </small>
      ))}
    </>
  );
}

/** What worked, what did not, and what was not reached: of both servers, step by step. */
export function Failed({ problem, typed }: { problem: LoginProblem; typed: Typed }) {
  const { step, code, failedAt } = problem;
  const said = findText(`problem.${code}`) ?? findText(`problem.${step}_${code}`) ?? [];
  return (
    <div class="outcome bad" role="alert">
      <p>
        <strong>{words('problem.title')}</strong>
      </p>
      <p>
        <Pieces of={said} />
      </p>
      {failedAt === 'login' && <Hint server={typed.imap_host} />}
      {(['imap', 'smtp'] as const).map((server) => (
        <>
          <p class="tried">
            {words(server === 'imap' ? 'imap.incoming' : 'imap.outgoing')},{' '}
            <Value of={typed[`${server}_host`]} />
          </p>
          <ol class="steps">
            {stepsOf(securityOf(typed, server)).map((one, at, all) => (
              <Step step={one} state={stateOf({ server, at }, { step, at: all.indexOf(failedAt) })} />
            ))}
          </ol>
        </>
      ))}
    </div>
  );
}

/** What to know of the host whose server this is: a login that it refused is most often one of these. */
function Hint({ server }: { server: string }) {
  const host = mailHostByServer(server);
  if (host === null || host.hint === null) return null;
  return (
    <p>
      <Say text={`hint.${host.hint}`} with={{ host: host.label }} />
    </p>
  );
}

type StepState = 'done' | 'failed' | 'not_reached';

/** IMAP is tried first: where that failed, nothing of SMTP was tried. */
function stateOf(
  one: { server: 'imap' | 'smtp'; at: number },
  failed: { step: 'imap' | 'smtp'; at: number },
): StepState {
  if (one.server !== failed.step) return one.server === 'imap' ? 'done' : 'not_reached';
  if (one.at === failed.at) return 'failed';
  return one.at < failed.at ? 'done' : 'not_reached';
}

function Step({ step, state }: { step: LoginStep; state: StepState }) {
  return (
    <li class={state}>
      {words(`step.${step}`)} <small>{words(`step.${state}`)}</small>
    </li>
  );
}

function securityOf(typed: Typed, server: 'imap' | 'smtp'): 'tls' | 'starttls' | 'none' {
  const given = typed[`${server}_security`];
  return given === 'starttls' || given === 'none' ? given : 'tls';
}

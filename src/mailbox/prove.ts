import { Failure, tlsProblem } from '../lib/failure.ts';
import type { FailureKind } from '../lib/failure.ts';
import type { NetGuard } from '../lib/net-guard.ts';
import type { ServerAddress } from '../provider/providers.ts';
import type { FolderEnd } from '../store/folders.ts';
import { sessionLimits } from './answer-limits.ts';
import { failedStep } from './login-steps.ts';
import type { LoginStep } from './login-steps.ts';
import { endsOf } from './plan.ts';
import { openSession } from './session.ts';
import type { Session } from './session.ts';

/** The login of a generic mailbox, as a person or the CRM gives it. */
export type PasswordLogin = {
  imap: ServerAddress;
  smtp: ServerAddress;
  user: string;
  password: string;
};

/** Why a login is not proven: whose fault, and at which of the two servers. */
export type LoginProblemCode =
  | 'imap_unreachable'
  | 'imap_login_refused'
  | 'smtp_unreachable'
  | 'smtp_login_refused'
  /** The certificate is expired, another host's, or signed by nobody that we trust. */
  | 'tls_untrusted'
  /** The port does not speak the kind of encryption that was named. */
  | 'tls_failed'
  /** The host is in a private network that the operator has not allowed, or is no host at all. */
  | 'private_address';

export class LoginProblem extends Failure {
  readonly step: 'imap' | 'smtp';
  /** What the server let us do before. */
  readonly failedAt: LoginStep;
  declare readonly code: LoginProblemCode;

  constructor(step: 'imap' | 'smtp', code: LoginProblemCode, cause: unknown) {
    super(kindOf(code), code, `${step.toUpperCase()}: ${code.replaceAll('_', ' ')}`, { cause });
    this.step = step;
    this.failedAt = failedStep(cause);
  }
}

function kindOf(code: LoginProblemCode): FailureKind {
  if (code === 'imap_unreachable' || code === 'smtp_unreachable') return 'temporary';
  return code === 'imap_login_refused' || code === 'smtp_login_refused' ? 'denied' : 'permanent';
}

/** Tries a login at a submission server: outbound/prove.ts, handed in, since flows do not know each other. */
export type ProveSmtpLogin = (trial: {
  server: ServerAddress;
  address: string;
  login: { user: string; password: string } | null;
}) => Promise<void>;

/** How long somebody who connects waits for a listing. */
const listMs = 15_000;

/**
 * Logs in at both servers, one after the other: a wrong password is tried once, not twice. Nothing is
 * read and nothing sent. Answers where the folders end, as far as the server tells that at once.
 *
 * @throws LoginProblem.
 */
export async function proveLogin(
  deps: { netGuard: NetGuard; proveSmtpLogin: ProveSmtpLogin },
  login: PasswordLogin,
): Promise<FolderEnd[]> {
  const { user, password } = login;
  let ends: FolderEnd[] = [];
  await step('imap', async () => {
    const { address } = await deps.netGuard.resolve(login.imap.host);
    const session = await openSession({
      server: login.imap,
      address,
      login: { user, password },
      limits: { ...sessionLimits, answerMs: listMs },
      onArrival: () => undefined,
      onClose: () => undefined,
    });
    ends = await readEnds(session);
    session.close();
  });
  await step('smtp', async () => {
    const { address } = await deps.netGuard.resolve(login.smtp.host);
    await deps.proveSmtpLogin({ server: login.smtp, address, login: { user, password } });
  });
  return ends;
}

/** Without them the listener opens each folder that has mail; with Gmail's extensions it watches a single one. */
async function readEnds(session: Session): Promise<FolderEnd[]> {
  if (!session.listsStatus || session.gmail) return [];
  try {
    return endsOf(await session.list());
  } catch {
    // The login is proven all the same.
    return [];
  }
}

async function step(name: 'imap' | 'smtp', work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new LoginProblem(name, problemCode(name, error), error);
  }
}

function problemCode(step: 'imap' | 'smtp', error: unknown): LoginProblemCode {
  const tls = tlsProblem(error);
  if (tls !== null) return tls === 'untrusted' ? 'tls_untrusted' : 'tls_failed';
  const code = error instanceof Failure ? error.code : '';
  if (code === 'private_address' || code === 'invalid_host') return 'private_address';
  if (code === 'login_refused' || code === 'smtp_login_refused') return `${step}_login_refused`;
  return `${step}_unreachable`;
}

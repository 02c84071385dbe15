import { Failure, tlsProblem } from '../lib/failure.ts';
import type { NetGuard } from '../lib/net-guard.ts';
import type { ServerAddress } from '../provider/providers.ts';
import { createWire } from './smtp-wire.ts';
import type { WireProblem } from './smtp-wire.ts';

/** A login that is to be tried. */
export type SmtpTrial = {
  server: ServerAddress;
  /** Where to connect, in place of looking the host up; the certificate must be the host's all the same. */
  address: string;
  /** Null: the server takes mail without a login. */
  login: { user: string; password: string } | null;
};

/** A person waits for the answer. */
const patience = { connectMs: 20_000, greetingMs: 20_000, silenceMs: 20_000, stepMs: 30_000 };

/**
 * Logs in to a submission server and leaves again, without sending anything.
 *
 * @throws Failure `smtp_unreachable` (temporary: no answer, or none that makes sense), `tls_untrusted`,
 *   `tls_failed` (permanent), `smtp_login_refused` (denied).
 */
export async function proveSmtpLogin({ server, address, login }: SmtpTrial): Promise<void> {
  const wire = createWire({ server, address }, patience);
  const { signal } = new AbortController();
  let stage: 'connect' | 'login' = 'connect';
  try {
    await wire.connect(signal);
    stage = 'login';
    if (login === null) return;
    const { user, password } = login;
    // Not nodemailer's `verify`: where a server offers no login, that one is content without.
    await wire.login({ user, credentials: { user, pass: password } }, signal);
  } catch (error) {
    throw failureOf(error, stage);
  } finally {
    wire.quit();
  }
}

/**
 * Proves a sub-account's own provider: its host may be reached, answers, and takes the login.
 *
 * @throws Failure as `proveSmtpLogin`, or `permanent` `private_address` or `invalid_host`, `temporary` `unknown_host`.
 */
export async function proveRelay(
  netGuard: Pick<NetGuard, 'resolve'>,
  { server, login }: Omit<SmtpTrial, 'address'>,
): Promise<void> {
  const { address } = await netGuard.resolve(server.host);
  await proveSmtpLogin({ server, address, login });
}

function failureOf(error: unknown, stage: 'connect' | 'login'): Failure {
  const { responseCode } = error as WireProblem;
  const tls = tlsProblem(error);
  const more = { cause: error };
  if (tls === 'untrusted') {
    return new Failure('permanent', 'tls_untrusted', 'the certificate of the server is not trusted', more);
  }
  if (tls === 'failed') {
    return new Failure('permanent', 'tls_failed', 'no encryption could be agreed upon with the server', more);
  }
  // 4xx at AUTH (RFC 4954 §6): "temporary authentication failure", no word about the password.
  if (stage === 'login' && responseCode !== undefined && responseCode >= 500) {
    return new Failure('denied', 'smtp_login_refused', 'the server refused the login', more);
  }
  return new Failure(
    'temporary',
    'smtp_unreachable',
    'the server cannot be reached or gave no usable answer',
    more,
  );
}

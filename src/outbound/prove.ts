import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { Failure, tlsProblem } from '../lib/failure.ts';
import type { ServerAddress } from '../provider/providers.ts';
import { serverOptions } from './smtp.ts';

/** A login that is to be tried. */
export type SmtpTrial = {
  server: ServerAddress;
  /** Where to connect, in place of looking the host up; the certificate must be the host's all the same. */
  address: string;
  user: string;
  password: string;
};

/** A person waits for the answer. */
const limits = { connectMs: 20_000, greetingMs: 20_000, silenceMs: 20_000, wholeMs: 45_000 };

/**
 * Logs in to a submission server and leaves again, without sending anything.
 *
 * @throws Failure `smtp_unreachable` (temporary: no answer, or none that makes sense), `tls_untrusted`,
 *   `tls_failed` (permanent), `smtp_login_refused` (denied).
 */
export function proveSmtpLogin(trial: SmtpTrial): Promise<void> {
  const { server, address, user, password } = trial;
  const connection = new SMTPConnection({
    ...serverOptions(server, address),
    connectionTimeout: limits.connectMs,
    greetingTimeout: limits.greetingMs,
    socketTimeout: limits.silenceMs,
  });
  return new Promise<void>((resolve, reject) => {
    let stage: 'connect' | 'login' = 'connect';
    const settle = (end: () => void) => {
      clearTimeout(deadline);
      end();
      connection.close();
    };
    const fail = (error: unknown) => settle(() => reject(failureOf(error, stage)));
    const deadline = setTimeout(() => fail(new Error('no answer in time')), limits.wholeMs);
    // The listener stays: an error of a socket that is being closed would else end the process.
    connection.on('error', fail);
    connection.once('end', () => fail(new Error('the server closed the connection')));
    connection.connect((refused) => {
      if (refused) return fail(refused);
      stage = 'login';
      // Not nodemailer's `verify`: where a server offers no login, that one is content without.
      connection.login({ user, credentials: { user, pass: password } }, (denied) => {
        if (denied) fail(denied);
        else settle(resolve);
      });
    });
  });
}

function failureOf(error: unknown, stage: 'connect' | 'login'): Failure {
  const { responseCode } = error as { responseCode?: number };
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

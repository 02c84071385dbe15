import { tlsProblem } from '../lib/failure.ts';
import type { ServerAddress } from '../provider/providers.ts';

/** What happens between the name of a server and a login at it. */
export type LoginStep = 'name' | 'connect' | 'tls' | 'greeting' | 'login';

/** The steps in their order: STARTTLS begins after the greeting. Pure. */
export function stepsOf(security: ServerAddress['security']): readonly LoginStep[] {
  if (security === 'tls') return ['name', 'connect', 'tls', 'greeting', 'login'];
  if (security === 'starttls') return ['name', 'connect', 'greeting', 'tls', 'login'];
  return ['name', 'connect', 'greeting', 'login'];
}

/** Codes of Node's and of both libraries (imapflow 2.10.2, nodemailer 10.6.0), by the step that they end; the first counts. */
const codes: readonly [RegExp, LoginStep][] = [
  [/^(?:unknown_host|private_address|invalid_host|ENOTFOUND|EAI_\w+|EDNS)$/, 'name'],
  [/^(?:GREETING_TIMEOUT|ClosedAfterConnect\w*|EPROTOCOL)$/, 'greeting'],
  [/^UPGRADE_TIMEOUT$/, 'tls'],
  [/^(?:E?CONNECT_TIMEOUT|ETIMEDOUT|ECONNREFUSED|E(?:HOST|NET)(?:UNREACH|DOWN)|EADDRNOTAVAIL)$/, 'connect'],
  [/^(?:login_refused|smtp_login_refused)$/, 'login'],
  // nodemailer has no other word for a connection that ended before the login.
  [/^(?:CONN|EHLO|ECONNRESET)$/, 'greeting'],
];

/** The step that an error of a login ended. Pure. */
export function failedStep(thrown: unknown): LoginStep {
  if (tlsProblem(thrown) !== null) return 'tls';
  const words: unknown[] = [];
  for (let error = thrown, depth = 0; error instanceof Object && depth < 5; depth += 1) {
    const { code, originalCode, timeoutType, command, cause } = error as Record<string, unknown>;
    words.push(code, originalCode, timeoutType, command);
    error = cause;
  }
  const isAmong = (pattern: RegExp) => words.some((word) => typeof word === 'string' && pattern.test(word));
  return codes.find(([pattern]) => isAmong(pattern))?.[1] ?? 'login';
}

/** Pure: whether the gateway's SMTP port answers as its settings say, and how mail gets there. */
import { ok, problem, warning } from '../lib/finding.ts';
import type { Finding } from '../lib/finding.ts';
import type { SmtpSeen } from './ask-smtp.ts';

/** `seen` is null where the port is not known. */
export type SmtpPort = { host: string; port: number; seen: SmtpSeen | null };

/** What answers at the port. `fingerprint` is that of the configured certificate; null where there is none to use. */
export function smtpFindings(
  { host, port, seen }: SmtpPort,
  configured: { domain: string | null; fingerprint: string | null },
): Finding[] {
  const place = { port: String(port), host };
  if (seen === null) return [warning({ say: 'port_unknown' }, { say: 'set_port' })];
  if (seen.state === 'silent')
    return [warning({ say: 'port_silent', ...place, cause: seen.cause }, { say: 'start_it' })];
  const { greeting, ehlo, fingerprint } = seen;
  if (!greeting.startsWith('220') || !greeting.includes('Twoway')) {
    const answered = { ...place, greeting: greeting.trim() };
    return [problem({ say: 'port_of_another', ...answered }, { say: 'end_the_other' })];
  }
  const { domain } = configured;
  if (domain !== null && !ehlo.toLowerCase().includes(domain)) {
    return [problem({ say: 'port_of_other_domain', ...place, domain }, { say: 'start_again' })];
  }
  if (configured.fingerprint !== null && fingerprint === null)
    return [problem({ say: 'port_without_tls', ...place }, { say: 'start_again' })];
  if (fingerprint !== null && fingerprint !== configured.fingerprint) {
    return [warning({ say: 'port_with_other_certificate', ...place }, { say: 'wait_for_renewed' })];
  }
  return [ok({ say: fingerprint === null ? 'port_ok' : 'port_ok_with_tls', ...place })];
}

/** How mail from the Internet, which comes to port 25, gets to the gateway's. */
export function wayFindings(settings: { host: string; port: number; proxies: readonly string[] }): Finding[] {
  const { host, port, proxies } = settings;
  const place = `${host}:${port}`;
  if (/^(?:127\.|::1$|localhost$)/.test(host) && proxies.length === 0) {
    return [warning({ say: 'way_from_here_alone', place }, { say: 'listen_outside' })];
  }
  if (port === 25) return [ok({ say: 'way_direct', place })];
  if (proxies.length === 0) return [ok({ say: 'way_forwarded', place })];
  return [ok({ say: 'way_balanced', place, proxies: proxies.join(', ') })];
}

import { ok, problem, warning } from './lib/finding.ts';
import type { Finding } from './lib/finding.ts';
import { scopesMissing } from './provider/oauth.ts';
import type { Provider, ProviderName } from './provider/providers.ts';
import type { ProviderFacts, ServerFacts } from './store/diagnosis.ts';

/* What doctor says of what it was told by the database, the clocks and the providers. Pure. */

/** Within one data centre it is about 1 ms; to file a message takes some ten answers, one after the other. */
const answerMsGood = 20;
const answerMsBad = 100;

/** Of a PostgreSQL. `answerMs`: the middle one of some questions; `connectionsMine`: what each node may open; `nodes` there are. */
export function serverFindings(
  server: ServerFacts,
  of: { answerMs: number; connectionsMine: number; nodes: number },
): Finding[] {
  const { version, encoding, collationChanged, connectionsMax, connectionsUsed } = server;
  const findings: Finding[] = [];
  const wanted = of.connectionsMine * Math.max(1, of.nodes);
  if (Number.parseInt(version, 10) < 15)
    findings.push(problem({ say: 'postgresql_old', version }, { say: 'move_postgresql' }));
  if (encoding !== 'UTF8') findings.push(problem({ say: 'encoding_wrong', encoding }, { say: 'make_utf8' }));
  if (collationChanged) findings.push(warning({ say: 'collation_changed' }, { say: 'reindex' }));
  const most = `${connectionsMax}`;
  if (wanted > connectionsMax)
    findings.push(
      problem({ say: 'connections_few', most, wanted: `${wanted}` }, { say: 'raise_connections' }),
    );
  const ms = `${of.answerMs}`;
  if (of.answerMs > answerMsGood) {
    const level = of.answerMs > answerMsBad ? problem : warning;
    findings.push(level({ say: 'answers_slowly', ms }, { say: 'move_nearer' }));
  }
  return findings.length > 0
    ? findings
    : [ok({ say: 'postgresql_sound', version, ms, used: `${connectionsUsed}`, most })];
}

/** Signatures of webhooks are refused when they are five minutes old (Standard Webhooks), tokens live an hour. */
const clockMsGood = 2_000;
const clockMsBad = 60_000;

/** By how much the clock of this machine is ahead of another's, in ms; null: that one could not be asked. */
export function clockFindings(
  ahead: readonly { whose: 'database' | 'Google' | 'Microsoft'; ms: number | null }[],
): Finding[] {
  return ahead.flatMap(({ whose: name, ms }) => {
    if (ms === null) return [];
    const whose = name === 'database' ? ({ say: 'whose_database' } as const) : name;
    const size = Math.abs(ms);
    if (size <= clockMsGood) return [ok({ say: 'clock_ok', whose })];
    const by = (size / 1_000).toFixed(1);
    const level = size > clockMsBad ? problem : warning;
    return [level({ say: ms > 0 ? 'clock_ahead' : 'clock_behind', by, whose }, { say: 'set_clock' })];
  });
}

/** Who of us is known to a provider, by what its token endpoint said to a refresh token that nobody has. */
export function clientFindings(who: 'Google' | 'Microsoft', code: string): Finding[] {
  // RFC 6749 §5.2: the client is looked at first, and then what it brings.
  if (code === 'token_revoked') return [ok({ say: 'client_ok', who })];
  if (code === 'client_rejected') {
    const fix = who === 'Google' ? 'new_google_secret' : 'new_microsoft_secret';
    return [problem({ say: 'client_refused', who }, { say: fix })];
  }
  if (code === 'single_tenant') return [problem({ say: 'client_single_tenant' }, { say: 'name_tenant' })];
  const host = who === 'Google' ? 'oauth2.googleapis.com' : 'login.microsoftonline.com';
  return [warning({ say: 'client_unasked', who, code }, { say: 'reach_host', host })];
}

/** Of the mailboxes that are connected with consent. */
export function consentFindings(
  facts: ProviderFacts,
  providerOf: (name: ProviderName) => Pick<Provider, 'scopes'>,
): Finding[] {
  const findings: Finding[] = [];
  const lacking = facts.granted.flatMap(({ provider, scopes, mailboxes }) => {
    const missing = scopesMissing(providerOf(provider).scopes.mail, scopes);
    return missing.length === 0 ? [] : [{ provider, mailboxes, missing }];
  });
  for (const { provider, mailboxes, missing } of lacking) {
    const found = {
      say: 'scopes_missing',
      count: `${mailboxes}`,
      provider,
      scopes: missing.join(', '),
    } as const;
    findings.push(problem(found, { say: 'connect_again' }));
  }
  if (facts.diedAfterSevenDays > 0) {
    const count = `${facts.diedAfterSevenDays}`;
    findings.push(problem({ say: 'consents_died', count }, { say: 'publish_application' }));
  }
  if (facts.smtpAuthOff > 0)
    findings.push(
      problem({ say: 'smtp_auth_off', count: `${facts.smtpAuthOff}` }, { say: 'allow_smtp_auth' }),
    );
  if (findings.length > 0) return findings;
  const count = facts.granted.reduce((sum, { mailboxes }) => sum + mailboxes, 0);
  return count === 0 ? [] : [ok({ say: 'consents_ok', count: `${count}` })];
}

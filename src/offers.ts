import { join } from 'node:path';
import type { Config } from './config.ts';
import { systemDns } from './intake/dns.ts';
import type { ResolveDns } from './intake/dns.ts';
import { Failure } from './lib/failure.ts';
import type { Log } from './lib/log.ts';
import type { OfferedProvider } from './mailbox/connect.ts';
import type { ClientCredentials, OAuthClient } from './provider/oauth.ts';
import { createOAuthClient } from './provider/oauth-client.ts';
import { withFigures } from './provider/figures.ts';
import { resolveProvider } from './provider/providers.ts';
import type { Provider, ProviderEndpoints, ProviderName } from './provider/providers.ts';
import type { Sandbox } from './sandbox/sandbox.ts';

/** Whether the configuration has the sandbox; never in production. */
export function hasSandbox(config: Pick<Config, 'SANDBOX' | 'production'>): boolean {
  return config.SANDBOX === 'on' || (config.SANDBOX === '' && !config.production);
}

/** The sandbox, where the configuration has it; null elsewhere. */
export async function startSandboxIfWanted(config: Config, log: Log): Promise<Sandbox | null> {
  if (!hasSandbox(config)) return null;
  const { startSandbox } = await import('./sandbox/sandbox.ts');
  return startSandbox({
    host: '127.0.0.1',
    imapPort: config.SANDBOX_PORT,
    smtpPort: config.SANDBOX_PORT === 0 ? 0 : config.SANDBOX_PORT + 1,
    httpPort: config.SANDBOX_PORT === 0 ? 0 : config.SANDBOX_PORT + 2,
    directory: join(config.DATA_DIR, 'sandbox'),
    log,
  });
}

/** Where the sandbox runs, logging addresses are offered without a domain of the administrator's own. */
export function loggingDomainOf(
  config: Pick<Config, 'LOGGING_DOMAIN' | 'SANDBOX' | 'production'>,
): string | null {
  return config.LOGGING_DOMAIN ?? (hasSandbox(config) ? 'log.sandbox.example' : null);
}

/**
 * Who is asked about the senders of logged mail: DNS, which knows nothing of the sandbox. Its domain says of itself
 * that this machine sends its mail (RFC 7208 §3).
 */
export function dnsFor(config: Config, sandbox: Sandbox | null): ResolveDns {
  const dns = systemDns(config.DNS_SERVERS);
  if (sandbox === null) return dns;
  return async (name, type) => {
    if (!/(?:^|\.)sandbox\.example$/i.test(name)) return dns(name, type);
    if (type === 'TXT' && name.toLowerCase() === 'sandbox.example') return [['v=spf1 ip4:127.0.0.1 -all']];
    throw Object.assign(new Error(`the sandbox has no ${type} of ${name}`), { code: 'ENOTFOUND' });
  };
}

/** The providers of an installation: all that a mailbox can be at, and those that people are offered. */
export type Providers = {
  of(name: ProviderName): Provider;
  /** Rejects, as the operator's fault, for one that is not configured. */
  oauthOf(name: ProviderName): OAuthClient;
  /** In the order in which the connect page shows them. */
  offered: ReadonlyMap<ProviderName, OfferedProvider>;
};

export function createProviders(config: Config, sandbox: Sandbox | null): Providers {
  const figures = config.PROVIDERS;
  const all: Record<ProviderName, Provider> = {
    gmail: withFigures(resolveProvider('gmail', config.GMAIL_ENDPOINTS), figures.gmail),
    outlook: withFigures(resolveProvider('outlook', config.OUTLOOK_ENDPOINTS), figures.outlook),
    imap: withFigures(resolveProvider('imap'), figures.imap),
    sandbox: resolveProvider('sandbox', sandbox === null ? nowhere : sandboxEndpoints(sandbox)),
  };
  const credentials: Partial<Record<ProviderName, ClientCredentials>> = {
    ...client('gmail', config.GOOGLE_CLIENT_ID, config.GOOGLE_CLIENT_SECRET),
    ...client('outlook', config.MICROSOFT_CLIENT_ID, config.MICROSOFT_CLIENT_SECRET),
    ...(sandbox === null
      ? {}
      : client('sandbox', sandbox.endpoints.clientId, sandbox.endpoints.clientSecret)),
  };
  const offered = new Map<ProviderName, OfferedProvider>();
  for (const name of ['gmail', 'outlook', 'imap', 'sandbox'] as const) {
    const known = credentials[name];
    if (known !== undefined)
      offered.set(name, { provider: all[name], oauth: createOAuthClient(all[name], known) });
    else if (name === 'imap') offered.set(name, { provider: all[name], oauth: null });
  }
  return {
    of: (name) => all[name],
    oauthOf: (name) => {
      const oauth = offered.get(name)?.oauth ?? null;
      if (oauth === null)
        throw new Failure('operator', 'provider_not_configured', `${name} is not configured`);
      return oauth;
    },
    offered,
  };
}

function client(name: ProviderName, clientId: string | null, clientSecret: string | null) {
  return clientId === null || clientSecret === null ? {} : { [name]: { clientId, clientSecret } };
}

function sandboxEndpoints(sandbox: Sandbox): ProviderEndpoints {
  const { endpoints } = sandbox;
  return {
    authoriseUrl: endpoints.authorise,
    tokenUrl: endpoints.token,
    revokeUrl: endpoints.revoke,
    certsUrl: endpoints.certs,
    issuers: [endpoints.issuer],
    imap: { ...sandbox.imap, security: 'none' },
    smtp: { ...sandbox.smtp, security: 'none' },
  };
}

/** Mailboxes of a sandbox that no longer runs lead to a port where nobody listens. */
const nowhere: ProviderEndpoints = {
  authoriseUrl: 'http://127.0.0.1:9/',
  tokenUrl: 'http://127.0.0.1:9/',
  revokeUrl: 'http://127.0.0.1:9/',
  certsUrl: 'http://127.0.0.1:9/',
  issuers: [],
  imap: { host: '127.0.0.1', port: 9, security: 'none' },
  smtp: { host: '127.0.0.1', port: 9, security: 'none' },
};

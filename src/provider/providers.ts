/** The mail providers that a mailbox can be at. `imap` is every host without an entry of its own. */
export type ProviderName = 'gmail' | 'outlook' | 'imap' | 'sandbox';

/** Where a mail server listens. `starttls` means "must": a server that does not offer it is not used (RFC 8314 §3). */
export type ServerAddress = { host: string; port: number; security: 'tls' | 'starttls' | 'none' };

/** Microsoft's separate clouds. An app must be registered in the one it is used with. */
type MicrosoftCloud = 'global' | 'us_gcc_high' | 'us_dod' | 'china';

/** What is particular about a provider, as data. Flows read this table; none asks for a provider by name. */
export type Provider = {
  name: ProviderName;
  /** What people call it, on pages and in messages. */
  label: string;
  /** Null: the person names the server. */
  imap: ServerAddress | null;
  smtp: ServerAddress | null;
  /** How consent is asked; null: login by password. */
  oauth: OAuthEndpoints | null;
  scopes: {
    /** Without all of these the mailbox cannot be used; the person may have unticked some. */
    mail: readonly string[];
    /** What the identity token needs; nobody can untick these. */
    signIn: readonly string[];
  };
  /** True where a message that was submitted by SMTP appears in Sent by itself, so that we append none (U1). */
  savesSentCopy: boolean;
  /** Within this many milliseconds after it took a message, its copy is in Sent, where there is going to be one. */
  sentCopyMsMax: number;
  /**
   * `all_mail`: one connection on the `\All` folder sees received, sent and archived mail; only where the
   * server announces X-GM-EXT-1 *and* lists a `\All` folder, since people can hide it. Otherwise, and for
   * `inbox_and_sent`: those two folders.
   */
  strategy: 'all_mail' | 'inbox_and_sent';
  /** IMAP connections that stay open for one mailbox; one more comes while something is changed in it. */
  imapConnectionsMax: number;
  /** What backfills and the like may download from one mailbox in a day (UTC); null: as much as they want (C8). */
  errandBytesPerDayMax: number | null;
  /** SMTP sessions at once for one mailbox. */
  smtpSessionsMax: number;
  /** Messages by SMTP in any minute from one mailbox; null: as many as it takes. */
  smtpMessagesPerMinuteMax: number | null;
  limits: ProviderLimits;
};

/** Limits by default (L1-L3, C8); an operator's figures and a mailbox's own settings override them (L4). Null: none. */
export type ProviderLimits = {
  /** Decoded bytes of all attachments of one message. */
  attachmentsBytesMax: number | null;
  /** Decoded bytes of each attachment. */
  attachmentBytesMax: number | null;
  /** The only extensions allowed, lower case, without the dot. */
  attachmentExtensions: readonly string[] | null;
  /** Individual messages in any 24 hours. */
  individualMessagesPerDayMax: number | null;
  /** Bytes by IMAP in any 24 hours, for all of the person's programs together. */
  imapDownloadBytesPerDayMax: number | null;
};

export type GoogleEndpoints = {
  dialect: 'google';
  authoriseUrl: string;
  tokenUrl: string;
  revokeUrl: string;
  /** PEM certificates by key id, which the identity token's signature is checked with. */
  certsUrl: string;
  /** What the identity token's `iss` may be; compared exactly. */
  issuers: readonly string[];
};

export type MicrosoftEndpoints = {
  dialect: 'microsoft';
  authoriseUrl: string;
  tokenUrl: string;
  adminConsentUrl: string;
  /** `{tenantid}` stands for the tenant of whoever signs in. */
  issuer: string;
};

type OAuthEndpoints = GoogleEndpoints | MicrosoftEndpoints;

/** What the operator can point elsewhere: another cloud, a proxy, the servers of the tests. */
export type ProviderEndpoints = {
  authoriseUrl?: string;
  tokenUrl?: string;
  revokeUrl?: string;
  certsUrl?: string;
  issuers?: readonly string[];
  /** Microsoft: which cloud; sets hosts, authority and scopes. Default `global`. */
  cloud?: MicrosoftCloud;
  /** Microsoft: the URL before the tenant. All of its endpoints follow from it. */
  authority?: string;
  /** Microsoft: `common` (work and personal; the default), `organizations`, `consumers`, or a tenant's id or domain. */
  tenant?: string;
  imap?: Partial<ServerAddress>;
  smtp?: Partial<ServerAddress>;
};

const minuteMs = 60_000;
const mebibyte = 1_048_576; // RULES L1: 1 MB of an attachment is this many bytes

/** The entries as they come out of the box. Microsoft's OAuth addresses depend on the cloud: see `resolveProvider`. */
const gmail: Provider = {
  name: 'gmail',
  label: 'Gmail',
  imap: { host: 'imap.gmail.com', port: 993, security: 'tls' },
  smtp: { host: 'smtp.gmail.com', port: 465, security: 'tls' },
  oauth: {
    dialect: 'google',
    authoriseUrl: 'https://accounts.google.com/o/oauth2/v2/auth',
    tokenUrl: 'https://oauth2.googleapis.com/token',
    revokeUrl: 'https://oauth2.googleapis.com/revoke',
    certsUrl: 'https://www.googleapis.com/oauth2/v1/certs',
    issuers: ['https://accounts.google.com', 'accounts.google.com'],
  },
  scopes: {
    // The only scope that IMAP and SMTP accept; a Restricted one (Google's XOAUTH2 page, seen 2026-11).
    mail: ['https://mail.google.com/'],
    signIn: ['openid', 'email'],
  },
  savesSentCopy: true,
  // Ours: no document says it. Copies are seen within a second or two, but a server may take ten minutes
  // over the end of DATA (RFC 5321 §4.5.3.2.6), and lose the connection before it has done so.
  sentCopyMsMax: 10 * minuteMs,
  strategy: 'all_mail',
  // 15 for the account, counted over all of the person's programs (phone, desktop); seen 2026-11.
  imapConnectionsMax: 3,
  // Two fifths of what Gmail allows: the rest is for new mail, and for the person's other programs.
  errandBytesPerDayMax: 1_000_000_000,
  smtpSessionsMax: 2,
  smtpMessagesPerMinuteMax: null,
  limits: {
    attachmentsBytesMax: 25 * mebibyte,
    attachmentBytesMax: null,
    attachmentExtensions: null,
    // The consumer figure; Workspace allows 2,000 (support.google.com/a/answer/166852, seen 2026-11).
    individualMessagesPerDayMax: 500,
    // "2500 MB" (support.google.com/a/answer/1071518, seen 2026-11), read the careful way, in millions.
    imapDownloadBytesPerDayMax: 2_500_000_000,
  },
};

const outlook: Provider = {
  name: 'outlook',
  label: 'Outlook',
  // Microsoft 365 and Outlook.com alike; the first connection passes a proxy and can take seconds.
  imap: { host: 'outlook.office365.com', port: 993, security: 'tls' },
  // No 465. Outlook.com mailboxes work through this host too; smtp-mail.outlook.com is their own.
  smtp: { host: 'smtp.office365.com', port: 587, security: 'starttls' },
  oauth: microsoftEndpoints('https://login.microsoftonline.com', 'common'),
  scopes: {
    mail: microsoftMailScopes('https://outlook.office.com/'),
    signIn: ['openid', 'profile', 'email', 'offline_access'],
  },
  // Since June 2018 (Exchange team blog 607825). In a shared mailbox: the Sent of who logged in.
  savesSentCopy: true,
  sentCopyMsMax: 10 * minuteMs,
  strategy: 'inbox_and_sent',
  // Undocumented for Exchange Online; on premises the default is 16, and other programs count too.
  imapConnectionsMax: 2,
  errandBytesPerDayMax: null,
  // The limit is 3 at once and 30 messages a minute, then `432 4.3.2`; seen 2026-11.
  smtpSessionsMax: 2,
  smtpMessagesPerMinuteMax: 30,
  limits: {
    attachmentsBytesMax: null,
    attachmentBytesMax: 3 * mebibyte,
    attachmentExtensions: 'jpg jpeg png mp4 mpeg zip rar pdf doc docx txt'.split(' '),
    individualMessagesPerDayMax: null,
    imapDownloadBytesPerDayMax: null,
  },
};

/** Follows Gmail's limits unless configured (C3), but nothing is known of the server. */
const imap: Provider = {
  name: 'imap',
  label: 'Another mail server (IMAP)',
  imap: null,
  smtp: null,
  oauth: null,
  scopes: { mail: [], signIn: [] },
  savesSentCopy: false,
  sentCopyMsMax: 10 * minuteMs,
  strategy: 'inbox_and_sent',
  imapConnectionsMax: 3,
  errandBytesPerDayMax: null,
  smtpSessionsMax: 2,
  smtpMessagesPerMinuteMax: null,
  limits: { ...gmail.limits, imapDownloadBytesPerDayMax: null },
};

/** The in-process provider of a first run. It speaks Google's OAuth, at addresses that only its start knows. */
const sandbox: Provider = {
  ...gmail,
  name: 'sandbox',
  label: 'Sandbox',
  imap: null,
  smtp: null,
  oauth: null,
  sentCopyMsMax: 5_000,
  errandBytesPerDayMax: null,
  strategy: 'inbox_and_sent',
  limits: { ...gmail.limits, imapDownloadBytesPerDayMax: null },
};

/** Every provider, before configuration. */
const providers: Readonly<Record<ProviderName, Provider>> = { gmail, outlook, imap, sandbox };

/** National clouds (Microsoft's national-cloud page and EmailEngine's documents, seen 2026-11). */
const clouds: Record<MicrosoftCloud, { authority: string; resource: string; imap: string; smtp: string }> = {
  global: {
    authority: 'https://login.microsoftonline.com',
    resource: 'https://outlook.office.com/',
    imap: 'outlook.office365.com',
    smtp: 'smtp.office365.com',
  },
  us_gcc_high: {
    authority: 'https://login.microsoftonline.us',
    resource: 'https://outlook.office365.us/',
    imap: 'outlook.office365.us',
    smtp: 'smtp.office365.us',
  },
  us_dod: {
    authority: 'https://login.microsoftonline.us',
    resource: 'https://outlook-dod.office365.us/',
    imap: 'outlook-dod.office365.us',
    smtp: 'outlook-dod.office365.us',
  },
  china: {
    // login.chinacloudapi.cn is the older name of the same; issuers carry this one.
    authority: 'https://login.partner.microsoftonline.cn',
    resource: 'https://partner.outlook.cn/',
    imap: 'partner.outlook.cn',
    smtp: 'partner.outlook.cn',
  },
};

/**
 * A provider with the operator's configuration applied.
 *
 * @throws Error naming the setting, when a mail server is half described or an OAuth address is missing.
 */
export function resolveProvider(name: ProviderName, overrides: ProviderEndpoints = {}): Provider {
  const base = providers[name];
  const placed = name === 'outlook' ? inCloud(base, overrides) : base;
  return {
    ...placed,
    imap: address(`${name}: imap`, placed.imap, overrides.imap),
    smtp: address(`${name}: smtp`, placed.smtp, overrides.smtp),
    oauth: name === 'gmail' || name === 'sandbox' ? googleEndpoints(name, placed, overrides) : placed.oauth,
  };
}

/** How long a copy in Sent is waited for before the gateway puts one there (U1), in ms; providers that save their own are left out. */
export const sentCopyWaitsMs: ReadonlyMap<ProviderName, number> = new Map(
  Object.values(providers).flatMap(({ name, savesSentCopy, sentCopyMsMax }) =>
    savesSentCopy ? [] : [[name, sentCopyMsMax]],
  ),
);

/** What can be said of one mailbox instead of what holds by default for its provider (L4). */
export type MailboxLimits = Omit<ProviderLimits, 'imapDownloadBytesPerDayMax'>;

function inCloud(base: Provider, overrides: ProviderEndpoints): Provider {
  const cloud = clouds[overrides.cloud ?? 'global'];
  return {
    ...base,
    imap: { host: cloud.imap, port: 993, security: 'tls' },
    smtp: { host: cloud.smtp, port: 587, security: 'starttls' },
    scopes: { ...base.scopes, mail: microsoftMailScopes(cloud.resource) },
    oauth: {
      ...microsoftEndpoints(overrides.authority ?? cloud.authority, overrides.tenant ?? 'common'),
      ...definedOnly({ authoriseUrl: overrides.authoriseUrl, tokenUrl: overrides.tokenUrl }),
    },
  };
}

function microsoftEndpoints(authority: string, tenant: string): MicrosoftEndpoints {
  const base = authority.replace(/\/+$/, '');
  // `common` and `consumers` name no organisation, and only an organisation has an administrator.
  const organisation = tenant === 'common' || tenant === 'consumers' ? 'organizations' : tenant;
  return {
    dialect: 'microsoft',
    authoriseUrl: `${base}/${tenant}/oauth2/v2.0/authorize`,
    tokenUrl: `${base}/${tenant}/oauth2/v2.0/token`,
    adminConsentUrl: `${base}/${organisation}/v2.0/adminconsent`,
    issuer: `${base}/{tenantid}/v2.0`,
  };
}

/** One token is for one resource: these cannot be asked together with Graph's scopes. */
function microsoftMailScopes(resource: string): readonly string[] {
  return [`${resource}IMAP.AccessAsUser.All`, `${resource}SMTP.Send`];
}

function googleEndpoints(name: string, base: Provider, overrides: ProviderEndpoints): GoogleEndpoints {
  const { authoriseUrl, tokenUrl, revokeUrl, certsUrl, issuers } = overrides;
  const standard = base.oauth?.dialect === 'google' ? base.oauth : {};
  const merged = {
    ...standard,
    ...definedOnly({ authoriseUrl, tokenUrl, revokeUrl, certsUrl, issuers }),
  };
  const needed = (key: 'authoriseUrl' | 'tokenUrl' | 'revokeUrl' | 'certsUrl') =>
    merged[key] ?? missing(name, key);
  return {
    dialect: 'google',
    authoriseUrl: needed('authoriseUrl'),
    tokenUrl: needed('tokenUrl'),
    revokeUrl: needed('revokeUrl'),
    certsUrl: needed('certsUrl'),
    issuers: merged.issuers ?? missing(name, 'issuers'),
  };
}

function address(
  what: string,
  standard: ServerAddress | null,
  override: Partial<ServerAddress> | undefined,
): ServerAddress | null {
  if (standard === null && override === undefined) return null;
  const { host, port, security } = { ...standard, ...definedOnly(override ?? {}) };
  if (host === undefined || port === undefined || security === undefined) {
    return missing(what, 'host, port and security');
  }
  return { host, port, security };
}

function missing(what: string, setting: string): never {
  throw new Error(`${what}: ${setting} must be configured`);
}

/** Without the undefined fields, which would otherwise overwrite what they are spread over. */
function definedOnly<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

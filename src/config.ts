import { readFileSync } from 'node:fs';
import { z } from 'zod';
import {
  databaseUrl,
  days,
  dnsServers,
  domain,
  endpoints,
  figures,
  firstAdministratorProblems,
  firstKey,
  issuer,
  list,
  networks,
  onOff,
  optional,
  origins,
  peers,
  port,
  roles,
  setting,
  trackingUrl,
} from './config-fields.ts';
import type { Setting } from './config-fields.ts';
import { roleNames } from './lib/roles.ts';

/** Every setting. The order is that of config/example.env. */
const settings = {
  DATABASE_URL: setting({
    schema: databaseUrl,
    default: '',
    explain:
      'PostgreSQL 15 or later, postgres://user:password@host:5432/twoway. Empty: the embedded database in TWOWAY_DATA_DIR, for a trial or one small machine; it does not survive a power cut.',
    secret: true,
  }),
  DATABASE_CONNECTIONS: setting({
    schema: z.coerce.number().int().min(2).max(500),
    default: '20',
    explain: 'Most connections to PostgreSQL that this process opens.',
  }),
  KEEP_FACTS_DAYS: setting({
    schema: days(1),
    default: '90',
    explain:
      'How many days the facts behind each decision are kept, for replay. The decision with its rule and reason stays.',
  }),
  KEEP_DECISIONS_DAYS: setting({
    schema: days(30),
    default: '180',
    explain:
      'How many days it is known of mail that was left out that it came, and why it was. Decisions on what is stored, held or failed stay.',
  }),
  KEEP_EVENTS_DAYS: setting({
    schema: days(30),
    default: '90',
    explain:
      'How many days events and their deliveries are kept, to be read, explained and delivered again. What is still to be delivered stays.',
  }),
  KEEP_ATTEMPTS_DAYS: setting({
    schema: days(30),
    default: '365',
    explain: 'How many days the single tries of a send are kept, counted from the call. Its state stays.',
  }),
  KEEP_AUDIT_DAYS: setting({
    schema: days(30),
    default: '730',
    explain: 'How many days the audit log is kept: what administrators did, when and from where.',
  }),
  DATA_DIR: setting({
    schema: z.string().min(1),
    default: 'data',
    explain:
      'Folder of the embedded database, the blobs (raw messages, attachments) and the generated secret.',
  }),
  S3_BUCKET: setting({
    schema: optional,
    default: '',
    explain:
      'Bucket of S3 for the blobs, of this installation alone, so that several nodes share them. Empty: a folder in TWOWAY_DATA_DIR.',
  }),
  S3_ENDPOINT: setting({
    schema: z.url({ protocol: /^https?$/, error: 'must be an http or https address' }).or(z.literal('')),
    default: '',
    explain: 'Address of an S3 that is not Amazon’s, for example https://s3.storage.example.',
  }),
  S3_REGION: setting({ schema: z.string().min(1), default: 'us-east-1', explain: 'Its region.' }),
  S3_ACCESS_KEY_ID: setting({
    schema: optional,
    default: '',
    explain: 'Key for it. Empty: what Amazon’s SDK finds by itself, such as the role of the machine.',
  }),
  S3_SECRET_ACCESS_KEY: setting({ schema: optional, default: '', explain: 'Its secret.', secret: true }),
  ROLES: setting({
    schema: roles,
    default: roleNames.join(','),
    explain:
      'What this node does, separated by commas: api (the API and the pages), mailbox (listening to mailboxes), intake (mail to logging addresses), outbound (sending), webhook (telling the CRM). Between all nodes each role is needed; fewer than all need TWOWAY_DATABASE_URL.',
  }),
  SECRET_KEYS: setting({
    schema: list,
    default: '',
    explain:
      'Keys that seal credentials at rest: 32 random bytes each, in base64, separated by commas, the newest first; what an older one has sealed is sealed anew with the newest within the hour, and `twoway doctor` says when the older one can go. Empty: one is generated into TWOWAY_DATA_DIR/secret.key; not with TWOWAY_DATABASE_URL, where every node needs the same.',
    secret: true,
  }),
  FIRST_KEY: setting({
    schema: firstKey,
    default: '',
    explain:
      'API key of the administrator, for all sub-accounts, that the first start takes in place of making one: tw_ and 32 random bytes in base64url. It is not looked at where there is such a key.',
    secret: true,
  }),
  FIRST_ADMINISTRATOR: setting({
    schema: optional,
    default: '',
    explain:
      'Address of whom a start makes an administrator of the pages while there is nobody. Empty: it prints a link.',
  }),
  FIRST_PASSWORD: setting({
    schema: optional,
    default: '',
    explain: 'Their first password, to be changed on the page My account.',
    secret: true,
  }),
  PUBLIC_URL: setting({
    schema: z.url({ protocol: /^https?$/, error: 'must be an http or https address' }).or(z.literal('')),
    default: '',
    explain:
      'Where browsers reach this gateway; the redirect URI at Google and Microsoft is this and /connect/callback. Empty: the HTTP address; localhost where that is 0.0.0.0 or ::.',
  }),
  CRM_ORIGINS: setting({
    schema: origins,
    default: '',
    explain:
      'Origins of the CRM, for example https://crm.example, separated by commas: its pages may show the connect page and a person’s own pages in a frame, and are told how connecting ended.',
  }),
  TRACKING_URL: setting({
    schema: trackingUrl,
    default: '',
    explain:
      'Where the recipients of tracked mail reach this gateway, for example https://go.crm.example; its paths under /t/ must lead here. Empty: no mail is tracked.',
  }),
  HTTP_HOST: setting({
    schema: z.string(),
    default: '127.0.0.1',
    explain: 'Where the API and the pages listen.',
  }),
  HTTP_PORT: setting({ schema: port, default: '8080', explain: 'Their port; 0 takes a free one.' }),
  HTTP_PROXIES: setting({
    schema: peers,
    default: '',
    explain:
      'Addresses and networks (CIDR) of the proxies before the pages, whose X-Forwarded-For says who asks, separated by commas.',
  }),
  OIDC_ISSUER: setting({
    schema: issuer,
    default: '',
    explain:
      'OpenID Connect provider by which administrators sign in, for example https://login.operator.example; the redirect URI there is TWOWAY_PUBLIC_URL and /admin/sign-in/callback. Empty: by password alone.',
  }),
  OIDC_CLIENT_ID: setting({
    schema: optional,
    default: '',
    explain: 'What the gateway is registered as there.',
  }),
  OIDC_CLIENT_SECRET: setting({ schema: optional, default: '', explain: 'Its secret.', secret: true }),
  OIDC_ADMINISTRATORS: setting({
    schema: list,
    default: '',
    explain:
      'Addresses of those who are administrators when they sign in there, separated by commas; each must be verified there.',
  }),
  SMTP_HOST: setting({
    schema: z.string(),
    default: '127.0.0.1',
    explain: 'Where mail to logging addresses is taken.',
  }),
  SMTP_PORT: setting({ schema: port, default: '2525', explain: 'Its port; 0 takes a free one.' }),
  LOGGING_DOMAIN: setting({
    schema: domain,
    default: '',
    explain:
      'Domain of the logging addresses, for example log.crm.example, whose MX record leads to the SMTP port (25 outside). Empty: no mail is taken.',
  }),
  SMTP_TLS_CERT: setting({
    schema: optional,
    default: '',
    explain:
      'Path of a PEM file with the certificate and its chain for STARTTLS; read again when it is renewed. Empty: STARTTLS is not offered.',
  }),
  SMTP_TLS_KEY: setting({ schema: optional, default: '', explain: 'Path of the PEM file with its key.' }),
  SMTP_PROXIES: setting({
    schema: peers,
    default: '',
    explain:
      'Addresses and networks (CIDR) of load balancers that begin each SMTP connection with a PROXY header, version 1, separated by commas.',
  }),
  DNS_SERVERS: setting({
    schema: dnsServers,
    default: '',
    explain:
      "Addresses of the DNS servers that are asked about the senders of logged mail, each with a :port where it is not 53, separated by commas. Empty: the machine's own.",
  }),
  LOG_LEVEL: setting({
    schema: z.enum(['debug', 'info', 'warn', 'error']),
    default: 'info',
    explain: 'How much is logged: debug, info, warn or error.',
  }),
  GOOGLE_CLIENT_ID: setting({
    schema: optional,
    default: '',
    explain: 'OAuth client of the Google Cloud console; empty: Gmail is not offered.',
  }),
  GOOGLE_CLIENT_SECRET: setting({ schema: optional, default: '', explain: 'Its secret.', secret: true }),
  MICROSOFT_CLIENT_ID: setting({
    schema: optional,
    default: '',
    explain: 'Application of the Entra admin centre; empty: Outlook is not offered.',
  }),
  MICROSOFT_CLIENT_SECRET: setting({ schema: optional, default: '', explain: 'Its secret.', secret: true }),
  GMAIL_ENDPOINTS: setting({
    schema: endpoints,
    default: '',
    explain: 'JSON that points parts of Gmail elsewhere (tests, proxies).',
  }),
  OUTLOOK_ENDPOINTS: setting({
    schema: endpoints,
    default: '',
    explain: 'The same for Outlook, for example {"cloud":"us_gcc_high"} or {"tenant":"organizations"}.',
  }),
  PROVIDERS: setting({
    schema: figures,
    default: '',
    explain:
      'JSON of the limits of providers that are not as they come, best in a file: TWOWAY_PROVIDERS_FILE. config/providers.json has all of them as they come; what is left out stays so, and null is no limit. A limit of one mailbox (PUT …/connections/{id}/limits) goes before it.',
  }),
  ALLOW_PRIVATE: setting({
    schema: networks,
    default: '',
    explain:
      'Private networks (CIDR) and host names that webhooks and generic mail hosts may be at, separated by commas. Empty: public addresses only.',
  }),
  SANDBOX: setting({
    schema: onOff,
    default: '',
    explain:
      'The in-process mail provider to try everything on: on or off. Empty: on, unless NODE_ENV is production, where it is refused.',
  }),
  SANDBOX_PORT: setting({
    schema: port,
    default: '8143',
    explain: "The sandbox's IMAP port; its SMTP and its pages take the two after it. 0 takes free ones.",
  }),
} as const;

type Settings = { [Name in keyof typeof settings]: z.output<(typeof settings)[Name]['schema']> };

/** The configuration in force. */
export type Config = Settings & { production: boolean };

/** All that is wrong with a configuration, at once. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `The configuration has ${problems.length === 1 ? 'a problem' : 'problems'}:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/**
 * Reads the settings from the environment. `TWOWAY_X_FILE` names a file that holds the value of
 * `TWOWAY_X`, for mounted secrets. The only reader of the environment. Throws ConfigError.
 */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, { schema, default: byDefault }] of Object.entries(settings)) {
    const given = givenValue(environment, name, problems);
    const parsed = schema.safeParse(given ?? byDefault);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(`TWOWAY_${name}: ${parsed.error.issues.map((issue) => issue.message).join('; ')}`);
  }
  for (const name of Object.keys(environment).filter((key) => key.startsWith('TWOWAY_'))) {
    const bare = name.slice('TWOWAY_'.length);
    if (!(bare in settings) && !(bare.replace(/_FILE$/, '') in settings))
      problems.push(`${name}: there is no such setting`);
  }
  const production = environment['NODE_ENV'] === 'production';
  problems.push(...contradictions(values, production));
  if (problems.length > 0) throw new ConfigError(problems);
  return { ...(values as Settings), production };
}

function givenValue(environment: NodeJS.ProcessEnv, name: string, problems: string[]): string | undefined {
  const direct = environment[`TWOWAY_${name}`];
  const file = environment[`TWOWAY_${name}_FILE`];
  if (file === undefined) return direct;
  if (direct !== undefined) problems.push(`TWOWAY_${name} and TWOWAY_${name}_FILE are both set`);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    problems.push(`TWOWAY_${name}_FILE: ${error instanceof Error ? error.message : String(error)}`);
    return direct;
  }
}

function contradictions(values: Partial<Settings>, production: boolean): string[] {
  const problems: string[] = [];
  if (production && values.SANDBOX === 'on')
    problems.push('TWOWAY_SANDBOX: the sandbox is never started in production');
  for (const provider of ['GOOGLE', 'MICROSOFT'] as const) {
    const id = values[`${provider}_CLIENT_ID`];
    const secret = values[`${provider}_CLIENT_SECRET`];
    if ((id === null) !== (secret === null))
      problems.push(`TWOWAY_${provider}_CLIENT_ID and _SECRET: one is set and the other is not`);
  }
  const oidc = [values.OIDC_CLIENT_ID, values.OIDC_CLIENT_SECRET, values.OIDC_ADMINISTRATORS?.[0] ?? null];
  if (oidc.some((value) => (value === null) !== (values.OIDC_ISSUER === null)))
    problems.push(
      'TWOWAY_OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET and _ADMINISTRATORS: some are set and others are not',
    );
  problems.push(...firstAdministratorProblems(values.FIRST_ADMINISTRATOR, values.FIRST_PASSWORD));
  if ((values.SMTP_TLS_CERT === null) !== (values.SMTP_TLS_KEY === null))
    problems.push('TWOWAY_SMTP_TLS_CERT and _KEY: one is set and the other is not');
  if (values.DATABASE_URL === null && (values.ROLES ?? roleNames).length < roleNames.length)
    problems.push('TWOWAY_ROLES: what this node does not do, no other can with the embedded database');
  if ((values.S3_ACCESS_KEY_ID === null) !== (values.S3_SECRET_ACCESS_KEY === null))
    problems.push('TWOWAY_S3_ACCESS_KEY_ID and _SECRET_ACCESS_KEY: one is set and the other is not');
  // A key that a node made for itself would open nothing that another has sealed.
  if (typeof values.DATABASE_URL === 'string' && values.SECRET_KEYS?.length === 0) {
    problems.push(
      'TWOWAY_SECRET_KEYS: needed with TWOWAY_DATABASE_URL, and the same on every node (make one: openssl rand -base64 32; ' +
        'one that was generated before is in the file secret.key of TWOWAY_DATA_DIR)',
    );
  }
  for (const [position, key] of (values.SECRET_KEYS ?? []).entries()) {
    if (Buffer.from(key, 'base64').length !== 32)
      problems.push(`TWOWAY_SECRET_KEYS: key ${position + 1} is not 32 bytes of base64`);
  }
  return problems;
}

/** A setting in force, for people. */
export type ShownSetting = {
  /** With `TWOWAY_` before it. */
  name: string;
  /** As it would be written; empty: none. Null: a secret, which is set and never shown. */
  value: string | null;
  isDefault: boolean;
  explain: string;
};

/** Every setting in force, in the order of config/example.env, secrets hidden. */
export function showSettings(config: Config): ShownSetting[] {
  return Object.entries(settings).map(
    ([name, { schema, explain, default: byDefault, secret }]: [string, Setting<z.ZodType>]) => {
      const value = written(config[name as keyof Settings]);
      return {
        name: `TWOWAY_${name}`,
        value: secret === true && value !== '' ? null : value,
        isDefault: value === written(schema.parse(byDefault)),
        explain,
      };
    },
  );
}

function written(value: unknown): string {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.join(',');
  const json = JSON.stringify(value);
  return json === '{}' ? '' : json;
}

/** The text of config/example.env: every setting with its meaning and its default. */
export function exampleEnvironment(): string {
  const entries = Object.entries(settings).map(
    ([name, { explain, default: byDefault, secret }]: [string, Setting<z.ZodType>]) =>
      [
        `# ${explain}`,
        ...(secret === true ? [`# Or TWOWAY_${name}_FILE, the path of a file that holds it.`] : []),
        `#TWOWAY_${name}=${byDefault}`,
      ].join('\n'),
  );
  return `# Every setting of Twoway. Written by \`npm run twoway -- example-env\`; a test compares it.\n\n${entries.join('\n\n')}\n`;
}

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { ConfigError, exampleEnvironment, readConfig } from '../src/config.ts';
import { createProviders } from '../src/offers.ts';
import { exampleFigures } from '../src/provider/figures.ts';
import { resolveProvider } from '../src/provider/providers.ts';

const key = Buffer.alloc(32, 1).toString('base64');

/** What a faulty environment is told, one line for each problem. */
const faults: { name: string; environment: NodeJS.ProcessEnv; problems: RegExp[] }[] = [
  { name: 'a port that is none', environment: { TWOWAY_HTTP_PORT: 'http' }, problems: [/TWOWAY_HTTP_PORT/] },
  {
    name: 'several at once',
    environment: { TWOWAY_HTTP_PORT: '70000', TWOWAY_LOG_LEVEL: 'loud', TWOWAY_PUBLIC_URL: 'here' },
    problems: [/PUBLIC_URL/, /HTTP_PORT/, /LOG_LEVEL/],
  },
  {
    name: 'a setting that does not exist',
    environment: { TWOWAY_HTTP_PROT: '1' },
    problems: [/TWOWAY_HTTP_PROT: there is no such/],
  },
  {
    name: 'an address for tracking that means something in HTML, or in itself',
    environment: { TWOWAY_TRACKING_URL: 'https://go.example/?x="' },
    problems: [/TRACKING_URL: must be an http or https address without a query/],
  },
  {
    name: 'half of a client',
    environment: { TWOWAY_GOOGLE_CLIENT_ID: 'x' },
    problems: [/GOOGLE_CLIENT_ID and _SECRET/],
  },
  {
    name: 'a part of an OpenID Connect provider',
    environment: { TWOWAY_OIDC_ISSUER: 'https://login.operator.example', TWOWAY_OIDC_CLIENT_ID: 'x' },
    problems: [/OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET and _ADMINISTRATORS: some are set/],
  },
  {
    name: 'an OpenID Connect provider without TLS elsewhere',
    environment: {
      TWOWAY_OIDC_ISSUER: 'http://login.operator.example',
      TWOWAY_OIDC_CLIENT_ID: 'x',
      TWOWAY_OIDC_CLIENT_SECRET: 'x',
      TWOWAY_OIDC_ADMINISTRATORS: 'ann@operator.example',
    },
    problems: [/OIDC_ISSUER: must be an https address/],
  },
  {
    name: 'half of a certificate',
    environment: { TWOWAY_SMTP_TLS_CERT: '/etc/ssl/log.pem' },
    problems: [/SMTP_TLS_CERT and _KEY/],
  },
  {
    name: 'a logging domain and proxies that are none',
    environment: { TWOWAY_LOGGING_DOMAIN: 'log@crm', TWOWAY_SMTP_PROXIES: '10.0.0.1,balancer' },
    problems: [/LOGGING_DOMAIN: "log@crm" is no domain/, /SMTP_PROXIES: "balancer" is no address/],
  },
  {
    name: 'DNS servers that are none',
    environment: { TWOWAY_DNS_SERVERS: '192.0.2.1:5353,[2001:db8::1],dns.example,192.0.2.1:70000' },
    problems: [
      /DNS_SERVERS: "dns\.example" is no address of a DNS server; "192\.0\.2\.1:70000" is no address/,
    ],
  },
  {
    name: 'a short key',
    environment: { TWOWAY_SECRET_KEYS: `${key},c2hvcnQ=` },
    problems: [/key 2 is not 32 bytes/],
  },
  {
    name: 'a database for several nodes without the keys that they share',
    environment: { TWOWAY_DATABASE_URL: 'postgres://127.0.0.1/twoway' },
    problems: [/SECRET_KEYS: .* the same on every node .* secret\.key/],
  },
  {
    name: 'the sandbox in production',
    environment: { NODE_ENV: 'production', TWOWAY_SANDBOX: 'on' },
    problems: [/never started in production/],
  },
  {
    name: 'endpoints that are no JSON',
    environment: { TWOWAY_GMAIL_ENDPOINTS: '{' },
    problems: [/GMAIL_ENDPOINTS/],
  },
  {
    name: 'limits of providers, each that is none',
    environment: {
      TWOWAY_PROVIDERS: JSON.stringify({
        gmail: { smtp_sessions_max: 0, messages_per_day: 5, attachment_extensions: ['.PDF'] },
        hotmail: {},
      }),
    },
    problems: [
      /PROVIDERS: gmail\.attachment_extensions\.0: .*without the dot; gmail\.smtp_sessions_max: Too small.*; gmail: .*messages_per_day.*; .*hotmail/,
    ],
  },
  {
    name: 'limits of providers that are no JSON',
    environment: { TWOWAY_PROVIDERS: '{' },
    problems: [/^TWOWAY_PROVIDERS: it is no JSON$/],
  },
  {
    name: 'places that are none, a database of another kind and an address that no browser opens',
    environment: {
      TWOWAY_ALLOW_PRIVATE: '10.0.0.0/99,crm.example,::1/129',
      TWOWAY_DATABASE_URL: 'mysql://x',
      TWOWAY_PUBLIC_URL: 'javascript:alert(1)',
    },
    problems: [
      /DATABASE_URL: must begin with postgres/,
      /PUBLIC_URL: must be an http/,
      /ALLOW_PRIVATE: "10\.0\.0\.0\/99" .*; "::1\/129" is no network/,
    ],
  },
  {
    name: 'a first key that nobody could have, and a password that everybody has',
    environment: {
      TWOWAY_FIRST_KEY: 'tw_short',
      TWOWAY_FIRST_ADMINISTRATOR: 'ann@operator.example',
      TWOWAY_FIRST_PASSWORD: 'password1234',
    },
    problems: [/FIRST_KEY: must be tw_ and 32 random bytes/, /FIRST_PASSWORD: .*tried first/],
  },
  {
    name: 'a first administrator without a password',
    environment: { TWOWAY_FIRST_ADMINISTRATOR: 'ann@operator.example' },
    problems: [/FIRST_ADMINISTRATOR and TWOWAY_FIRST_PASSWORD: one is set/],
  },
  {
    name: 'a first administrator who has no address',
    environment: { TWOWAY_FIRST_ADMINISTRATOR: 'ann', TWOWAY_FIRST_PASSWORD: 'plum harbour ladder' },
    problems: [/FIRST_ADMINISTRATOR: "ann" is no e-mail address/],
  },
  {
    name: 'a missing secret file',
    environment: { TWOWAY_DATABASE_URL_FILE: '/does/not/exist' },
    problems: [/DATABASE_URL_FILE/],
  },
];

describe('configuration', () => {
  for (const { name, environment, problems } of faults) {
    test(`refuses ${name}, naming each problem`, () => {
      assert.throws(
        () => readConfig(environment),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError);
          assert.equal(error.problems.length, problems.length, error.message);
          for (const [position, expected] of problems.entries())
            assert.match(error.problems[position] ?? '', expected);
          return true;
        },
      );
    });
  }

  test('has a default for everything, and reads secrets from files', () => {
    const config = readConfig({
      TWOWAY_GOOGLE_CLIENT_SECRET_FILE: new URL('../.prettierrc', import.meta.url).pathname,
      TWOWAY_GOOGLE_CLIENT_ID: 'id',
    });
    assert.equal(config.HTTP_PORT, 8080);
    assert.equal(config.DATABASE_URL, null);
    assert.match(config.GOOGLE_CLIENT_SECRET ?? '', /singleQuote/);
  });

  test('L4: what the file of limits leaves out stays as it comes; the sandbox keeps its own', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'twoway-config-')), 'providers.json');
    writeFileSync(file, '{"outlook":{"attachment_bytes_max":null,"smtp_messages_per_minute_max":10}}');
    const { of } = createProviders(readConfig({ TWOWAY_PROVIDERS_FILE: file }), null);
    rmSync(dirname(file), { recursive: true });
    const { limits, smtpMessagesPerMinuteMax, smtpSessionsMax } = of('outlook');
    assert.deepEqual([limits.attachmentBytesMax, smtpMessagesPerMinuteMax, smtpSessionsMax], [null, 10, 2]);
    assert.equal(limits.attachmentExtensions?.length, 11);
    for (const name of ['gmail', 'sandbox'] as const)
      assert.equal(of(name).limits.individualMessagesPerDayMax, 500);
  });

  test('config/providers.json is what the program says (npm run twoway -- example-providers), and changes nothing', () => {
    const path = new URL('../config/providers.json', import.meta.url).pathname;
    assert.equal(
      readFileSync(path, 'utf8'),
      exampleFigures((name) => resolveProvider(name)),
    );
    const { of } = createProviders(readConfig({ TWOWAY_PROVIDERS_FILE: path }), null);
    for (const name of ['gmail', 'outlook', 'imap'] as const)
      assert.deepEqual(of(name), resolveProvider(name));
  });

  test('config/example.env is what the program says (npm run twoway -- example-env > config/example.env)', () => {
    assert.equal(
      readFileSync(new URL('../config/example.env', import.meta.url), 'utf8'),
      exampleEnvironment(),
    );
  });
});

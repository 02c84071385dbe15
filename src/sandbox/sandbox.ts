import type { AddressInfo, Server } from 'node:net';
import { systemClock, type Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { createHttpServer } from './http-server.ts';
import { createImapServer } from './imap-server.ts';
import { createOauth } from './oauth.tsx';
import { createPostOffice } from './post-office.ts';
import { createRelay } from './relay.ts';
import type { Route } from './relay.ts';
import { createSmtpServer } from './smtp-server.ts';
import { openStore } from './store.ts';
import { createTokens } from './tokens.ts';
import { webMailRoutes } from './web-mail.tsx';

/** A running mail provider for a first run: consent page, IMAP, SMTP, web mail. Plain sockets, loopback only. */
export type Sandbox = {
  imap: { host: string; port: number };
  smtp: { host: string; port: number };
  /** `http://127.0.0.1:4302`: web mail at `/mail`. */
  http: { url: string };
  /** Google's dialect of OAuth 2; the mail scope is `https://mail.google.com/`. */
  endpoints: {
    authorise: string;
    token: string;
    revoke: string;
    /** PEM keys by id, for google-auth-library. */
    certs: string;
    issuer: string;
    clientId: string;
    clientSecret: string;
  };
  /** What its people send to this domain goes to a server on this machine from now on: the logging addresses. */
  routeTo(route: Omit<Route, 'host'>): void;
  stop(): Promise<void>;
};

type Options = {
  /** 0 takes any free port. */
  imapPort: number;
  smtpPort: number;
  httpPort: number;
  host: '127.0.0.1';
  /** Where mail and what tokens need are kept; in memory alone where absent. */
  directory?: string;
  clock?: Clock;
  log: Log;
  /** How long a customer waits before answering. */
  delayMs?: number;
};

/** Starts all three servers, or none: rejects when a port is taken. Never for production. */
export async function startSandbox(options: Options): Promise<Sandbox> {
  const { host, log, clock = systemClock, delayMs = 1500 } = options;
  const store = openStore({ directory: options.directory, clock });
  for (const person of ['ada@sandbox.example', 'ben@sandbox.example']) store.open(person);
  const tokens = await createTokens({ store, clock });
  const url = () => `http://${host}:${portOf(http.server)}`;
  const oauth = createOauth({ store, tokens, clock, issuer: url });
  const postOffice = createPostOffice({ store, clock, log, delayMs, relay: createRelay(log) });
  const imap = createImapServer({ store, authorise: oauth.authorise, log });
  const smtp = createSmtpServer({ postOffice, authorise: oauth.authorise, clock, log, delayMs });
  const http = createHttpServer({ ...oauth.routes, ...webMailRoutes({ store, postOffice, clock }) }, log);
  const stop = async () => {
    await postOffice.stop();
    await Promise.all([imap, smtp, http].filter(({ server }) => server.listening).map((one) => one.stop()));
    store.close();
  };
  try {
    await listen(imap.server, options.imapPort, host);
    await listen(smtp.server, options.smtpPort, host);
    await listen(http.server, options.httpPort, host);
  } catch (error) {
    await stop();
    throw error;
  }
  const base = url();
  return {
    imap: { host, port: portOf(imap.server) },
    smtp: { host, port: portOf(smtp.server) },
    http: { url: base },
    endpoints: {
      authorise: `${base}/authorize`,
      token: `${base}/token`,
      revoke: `${base}/revoke`,
      certs: `${base}/certs`,
      issuer: base,
      clientId: oauth.clientId,
      clientSecret: oauth.clientSecret,
    },
    routeTo: (route) => postOffice.routeTo({ ...route, host }),
    stop,
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

import { showSettings } from './config.ts';
import type { Config } from './config.ts';
import type { Operator } from './console/admin/operator.ts';
import { createPasswords } from './console/admin/passwords.ts';
import { openExistingData } from './data.ts';
import { examine } from './doctor.ts';
import { validAddress } from './message/addresses.ts';
import { loggingDomainOf } from './offers.ts';
import {
  addAdministrator,
  canonicalOf,
  hasAdministrator,
  lockAdministrators,
  setPassword,
} from './store/administrators.ts';
import { administratorLinkHours, makeAdministratorLink } from './store/administrator-links.ts';
import { writeAudit } from './store/audit.ts';
import { endSessionsOfOthers } from './store/console-sessions.ts';
import type { Db } from './store/database.ts';

/** What administrators see of the configuration, and sign in by. */
export function operatorOf(config: Config): Operator {
  const { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId, OIDC_CLIENT_SECRET: clientSecret } = config;
  const isComplete = issuer !== null && clientId !== null && clientSecret !== null;
  return {
    httpProxies: config.HTTP_PROXIES,
    identity: isComplete
      ? { issuer, clientId, clientSecret, administrators: config.OIDC_ADMINISTRATORS }
      : null,
    settings: showSettings(config),
    loggingDomain: loggingDomainOf(config),
    examine: () => examine(config),
  };
}

/**
 * Ends what earlier settings allowed, and lets the first administrator in where there is nobody: by the password of the
 * settings, or by a link, whose path is answered.
 */
export async function openAdministration(config: Config, db: Db): Promise<string | null> {
  await endSessionsOfOthers(db, config.OIDC_ADMINISTRATORS.map(canonicalOf));
  const { FIRST_ADMINISTRATOR: email, FIRST_PASSWORD: password } = config;
  if (await hasAdministrator(db)) return null;
  if (email !== null && password !== null) {
    await addFirstAdministrator(db, email, password);
    return null;
  }
  if (config.OIDC_ISSUER !== null) return null;
  return db.transaction((tx) => makeAdministratorLink(tx, null));
}

/** Of nodes that start together one makes them. */
async function addFirstAdministrator(db: Db, email: string, password: string): Promise<void> {
  const hash = await createPasswords().hash(password);
  await db.transaction(async (tx) => {
    await lockAdministrators(tx);
    if (await hasAdministrator(tx)) return;
    const { administrator } = await addAdministrator(tx, email);
    await setPassword(tx, administrator.id, hash);
    await writeAudit(tx, {
      administratorId: null,
      action: 'administrator.added',
      subject: administrator.email,
    });
  });
}

/**
 * `twoway administrator add`: makes an administrator, or finds the one of that address, and answers a link by which
 * they set a password; a second factor that was on is off then.
 */
export async function addAdministratorByCommand(config: Config, email: string): Promise<string> {
  if (!validAddress(email)) throw new Error(`'${email}' is no e-mail address`);
  const { db, close } = await openExistingData(config);
  try {
    const { created, path } = await db.transaction(async (tx) => {
      const made = await addAdministrator(tx, email);
      await writeAudit(tx, {
        administratorId: null,
        action: made.created ? 'administrator.added' : 'administrator.link_made',
        subject: made.administrator.email,
      });
      return { created: made.created, path: await makeAdministratorLink(tx, made.administrator.id) };
    });
    const what = created
      ? `${email} is an administrator once they have set a password, by this link:`
      : `${email} is an administrator already. By this link they set a new password; a second factor is turned off, and sessions end:`;
    return `${what}\n\n  ${addressOf(config)}${path}\n\nIt works once, within ${administratorLinkHours} hours.\n`;
  } finally {
    await close();
  }
}

/** Where browsers reach the gateway, as far as its settings tell. */
function addressOf({ PUBLIC_URL: url, HTTP_HOST: host, HTTP_PORT: port }: Config): string {
  if (url !== '') return url.replace(/\/+$/, '');
  return `http://${['0.0.0.0', '::'].includes(host) ? 'localhost' : host}:${port}`;
}

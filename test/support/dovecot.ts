import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Certificates } from './certificates.ts';
import { type Daemon, freePort, startDaemon, waitForPort } from './processes.ts';

/** One IMAP listener. `tlsPort` is like 993; `plainPort` like 143, with STARTTLS and plain logins allowed. */
export type ImapEndpoint = { host: string; tlsPort: number; plainPort: number };

/**
 * The same mailboxes behind listeners with the habits of different providers. Each has its own loopback
 * address, since Dovecot 2.3 picks settings by local address and not by port.
 */
type ImapEndpoints = {
  /** Everything that Dovecot can do. */
  full: ImapEndpoint;
  /** What imap.gmail.com announces (2026-07), without X-GM-EXT-1: CONDSTORE, no QRESYNC. */
  gmail: ImapEndpoint;
  /** What outlook.office365.com announces (2026-07): no CONDSTORE, ENABLE, SPECIAL-USE, LIST-STATUS. */
  outlook: ImapEndpoint;
  /**
   * A real peer that loses notices. Sessions hibernate after 1 s in IDLE (10 s are usual), and a message
   * that arrives in the half second before is never announced (Dovecot 2.3.19); a NOOP shows it. It does not offer
   * NOTIFY: a session that has asked for it never hibernates.
   */
  hibernating: ImapEndpoint;
};

/** The loopback addresses that certificates must name. */
export const imapAddresses = {
  full: '127.0.0.1',
  gmail: '127.0.0.2',
  outlook: '127.0.0.3',
  hibernating: '127.0.0.4',
};

/** Where Dovecot of one set of servers listens, and its files. */
export type DovecotInfo = {
  imap: ImapEndpoints;
  lmtpPort: number;
  /** For Postfix: Dovecot's SASL. */
  authSocketPath: string;
  configPath: string;
  logPath: string;
};

// Numeric, with no entry in /etc/passwd: owner of every mailbox.
const mailOwnerId = 5000;

/** Writes Dovecot's configuration below `directory`; tokens are asked about at `introspectionUrl`. */
export async function configureDovecot(options: {
  directory: string;
  certificates: Certificates;
  introspectionUrl: string;
  /** IMAP sessions of one process. */
  sessionsPerProcess: number;
}): Promise<DovecotInfo> {
  const home = join(options.directory, 'dovecot');
  const mail = join(options.directory, 'mail');
  await mkdir(home);
  await mkdir(mail);
  await chown(mail, mailOwnerId, mailOwnerId);
  const info: DovecotInfo = {
    imap: {
      full: await endpoint(imapAddresses.full),
      gmail: await endpoint(imapAddresses.gmail),
      outlook: await endpoint(imapAddresses.outlook),
      hibernating: await endpoint(imapAddresses.hibernating),
    },
    lmtpPort: await freePort(),
    authSocketPath: join(home, 'auth-postfix'),
    configPath: join(home, 'dovecot.conf'),
    logPath: join(home, 'dovecot.log'),
  };
  const tokenPath = join(home, 'oauth2.conf');
  await writeFile(
    tokenPath,
    [
      'introspection_mode = post',
      `introspection_url = ${options.introspectionUrl}`,
      // Google's login is the address; Microsoft's may be another name.
      'username_attribute = username',
      'active_attribute = active',
      'active_value = true',
      'timeout_msecs = 5000',
      '',
    ].join('\n'),
  );
  await writeFile(info.configPath, configuration({ ...options, home, mail, tokenPath, info }));
  return info;
}

async function endpoint(host: string): Promise<ImapEndpoint> {
  return { host, tlsPort: await freePort(), plainPort: await freePort() };
}

/** Starts a configured Dovecot and waits until it answers. */
export async function startDovecot(info: DovecotInfo): Promise<Daemon> {
  const daemon = startDaemon({
    name: 'Dovecot',
    command: '/usr/sbin/dovecot',
    args: ['-F', '-c', info.configPath],
    logPath: info.logPath,
    // Its sessions have said BYE by then; the master waits for up to five seconds longer.
    stopMsMax: 300,
  });
  const { host, tlsPort } = info.imap.full;
  await waitForPort({ host, port: tlsPort, daemon });
  await waitForPort({ port: info.lmtpPort, daemon });
  return daemon;
}

type Paths = {
  home: string;
  mail: string;
  tokenPath: string;
  certificates: Certificates;
  info: DovecotInfo;
  sessionsPerProcess: number;
};

function configuration(paths: Paths): string {
  const { home, certificates, info } = paths;
  return `
protocols = imap lmtp
base_dir = ${home}/run
state_dir = ${home}/run
log_path = ${info.logPath}
listen = 127.0.0.1
ssl = yes
ssl_cert = <${certificates.certificatePath}
ssl_key = <${certificates.keyPath}
${people(paths)}
mail_location = sdbox:~/mail
mail_fsync = never
mail_max_userip_connections = 1000
recipient_delimiter = +
lmtp_save_to_detail_mailbox = yes
protocol lmtp {
  mail_plugins = quota
}
plugin {
  quota = count:User quota
  # Every mailbox of full.test is; 0 is no limit.
  quota_rule = *:bytes=%{if;%d;eq;full.test;1;0}
  quota_vsizes = yes
}
namespace inbox {
  inbox = yes
  separator = /
${folders()}}
${services(info, paths.sessionsPerProcess)}
local ${imapAddresses.gmail} {
  protocol imap {
    imap_capability = ${gmailCapabilities}
  }
}
local ${imapAddresses.outlook} {
  protocol imap {
    imap_capability = ${outlookCapabilities}
  }
}
local ${imapAddresses.hibernating} {
  protocol imap {
    imap_capability = ${hibernatingCapabilities}
    imap_hibernate_timeout = 1s
  }
}
`;
}

/**
 * Anyone at any domain exists. The login of a token must be the one that is used; a password is "secret-"
 * and the local part.
 */
function people({ mail, tokenPath }: Paths): string {
  return `
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
auth_username_format = %Lu
# Only sets a field, for whatever the next ones say: even with auth_failure_delay = 0 a refusal would
# otherwise wait for up to half a second.
passdb {
  driver = static
  args = noauthenticate=y nodelay=y
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ${tokenPath}
}
passdb {
  driver = static
  mechanisms = plain login
  args = password=secret-%n
}
userdb {
  driver = static
  args = allow_all_users=yes uid=${mailOwnerId} gid=${mailOwnerId} home=${mail}/%d/%n
}
first_valid_uid = 1
# Failures from one address would slow a whole suite.
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
  client_limit = 20000
}
`;
}

function services(info: DovecotInfo, sessionsPerProcess: number): string {
  return `
service auth {
  client_limit = 20000
  unix_listener ${info.authSocketPath} {
    mode = 0666
  }
}
service stats {
  client_limit = 20000
  unix_listener stats-writer {
    mode = 0666
  }
}
service imap-login {
  service_count = 0
  process_min_avail = 2
  client_limit = 6000
  vsz_limit = 0
${listeners(info.imap)}}
service imap {
  # With more than one client for each process, hibernated sessions leave idle processes behind.
  client_limit = ${sessionsPerProcess}
  service_count = ${sessionsPerProcess === 1 ? 1 : 0}
  process_limit = 6000
  process_min_avail = 2
  vsz_limit = 0
  unix_listener imap-master {
    user = $default_internal_user
  }
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0666
  }
}
service lmtp {
  process_min_avail = 2
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${info.lmtpPort}
  }
}
`;
}

const gmailCapabilities =
  'IMAP4rev1 SASL-IR UNSELECT IDLE NAMESPACE ID CHILDREN UIDPLUS ENABLE MOVE CONDSTORE ESEARCH ' +
  'LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE';

const outlookCapabilities =
  'IMAP4 IMAP4rev1 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+';

const hibernatingCapabilities =
  'IMAP4rev1 SASL-IR ID ENABLE IDLE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED CONDSTORE QRESYNC ESEARCH ' +
  'LIST-STATUS MOVE SPECIAL-USE LITERAL+';

function folders(): string {
  return ['Sent', 'Drafts', 'Junk', 'Trash', 'Archive']
    .map((name) => `  mailbox ${name} {\n    auto = subscribe\n    special_use = \\${name}\n  }\n`)
    .join('');
}

function listeners(imap: ImapEndpoints): string {
  // Dovecot's own listeners "imap" and "imaps" must be named to be moved off ports 143 and 993.
  return Object.entries(imap)
    .map(([name, { host, tlsPort, plainPort }]) => {
      const [plain, tls] = name === 'full' ? ['imap', 'imaps'] : [`imap-${name}`, `imaps-${name}`];
      return (
        `  inet_listener ${plain} {\n    address = ${host}\n    port = ${plainPort}\n  }\n` +
        `  inet_listener ${tls} {\n    address = ${host}\n    port = ${tlsPort}\n    ssl = yes\n  }\n`
      );
    })
    .join('');
}

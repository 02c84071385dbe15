import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Certificates } from './certificates.ts';
import { type Daemon, freePort, runCommand, startDaemon, waitForPort } from './processes.ts';

/** Where Postfix of one set of servers listens (127.0.0.1), and its files. */
export type PostfixInfo = {
  host: string;
  /** Like 587: STARTTLS, then a login. Files a copy in the sender's own Sent folder, as Gmail does. */
  submissionPort: number;
  /** Like 465: the same, TLS from the first byte. */
  submissionTlsPort: number;
  /** Like 587, of a host that leaves the Sent copy to the client. */
  noCopyPort: number;
  /** Like 587 of Outlook: a copy in Sent, a new Message-ID, the old one in X-Microsoft-Original-Message-ID. */
  rewritingPort: number;
  /** Like 587, of a host that tells the sender within seconds that a mail is late. */
  impatientPort: number;
  /** Of a host that takes mail up to 10 kB, for the domain small.test. No login. */
  smallPort: number;
  /** Like 25: what another mail system speaks to. No login, and no Sent copy. */
  mxPort: number;
  /**
   * Logging domains and where their mail is relayed to: each to a port of 127.0.0.1 at which one test listens.
   * Fixed when Postfix starts, which notices a changed table only after a while.
   */
  relays: { plain: Relay; tls: Relay; story: Relay; storm: Relay };
  configDirectory: string;
  logPath: string;
};

/** `tls`: not without STARTTLS. */
type Relay = { domain: string; port: number; security: 'plain' | 'tls' };

/*
 * Domains whose mail does not arrive. Every other domain's is delivered into Dovecot, so that nothing can
 * ever leave the machine.
 *  - refuses.test: refused at RCPT, for good.
 *  - defers.test: refused at RCPT, for now.
 *  - refuses-data.test: accepted at RCPT, refused for good after the message.
 *  - bounces.test: accepted, then a delivery report (5.1.1) comes back to the sender.
 *  - swallows.test: accepted and thrown away.
 *  - full.test: accepted, and the mailbox is full, as Dovecot says (5.2.2).
 *  - small.test: accepted, and the next host takes nothing of that size (5.3.4).
 *  - stalls.test: accepted, and the next host cannot be reached (4.4.1).
 *  - those of `relays`: relayed to a port of loopback, as a sender's provider relays mail for a logging address.
 */
const recipientActions = [
  '/@refuses\\.test$/ 550 5.1.1 No such user here',
  '/@defers\\.test$/ 450 4.2.1 This mailbox is busy, try again later',
];
const dataActions = ['/@refuses-data\\.test$/ 554 5.7.1 Message refused by policy'];
const transports = ['/@bounces\\.test$/ bounce-later:', '/@swallows\\.test$/ discard:'];

/**
 * The copy goes to the folder that follows the `+` (lmtp_save_to_detail_mailbox). It follows the envelope
 * sender, and nothing checks that this is who logged in.
 */
const sentCopies = ['/^([^+@]+)(\\+[^@]*)?@(.+)$/ ${1}+Sent@${3}'];

const messageIdRewrite = ['/^Message-ID:(.*)$/ REPLACE X-Microsoft-Original-Message-ID:${1}'];

/** Writes the configuration of a private Postfix below `directory`, and makes its queue. */
export async function configurePostfix(options: {
  directory: string;
  certificates: Certificates;
  lmtpPort: number;
  authSocketPath: string;
}): Promise<PostfixInfo> {
  const home = join(options.directory, 'postfix');
  const configDirectory = join(home, 'config');
  await mkdir(configDirectory, { recursive: true });
  const info: PostfixInfo = {
    host: '127.0.0.1',
    submissionPort: await freePort(),
    submissionTlsPort: await freePort(),
    noCopyPort: await freePort(),
    rewritingPort: await freePort(),
    impatientPort: await freePort(),
    smallPort: await freePort(),
    mxPort: await freePort(),
    relays: {
      plain: { domain: 'log-plain.test', port: await freePort(), security: 'plain' },
      tls: { domain: 'log-tls.test', port: await freePort(), security: 'tls' },
      story: { domain: 'log-story.test', port: await freePort(), security: 'plain' },
      storm: { domain: 'log-storm.test', port: await freePort(), security: 'plain' },
    },
    configDirectory,
    logPath: join(home, 'mail.log'),
  };
  const relays = Object.values(info.relays).map(
    ({ domain, port, security }) => `/@${domain.replace('.', '\\.')}$/ relay-${security}:[127.0.0.1]:${port}`,
  );
  const tables = {
    recipientActions,
    dataActions,
    transports: [
      ...transports,
      `/@small\\.test$/ relay-plain:[127.0.0.1]:${info.smallPort}`,
      '/@stalls\\.test$/ lmtp:inet:127.0.0.1:9',
      ...relays,
    ],
    sentCopies,
    messageIdRewrite,
  };
  for (const [name, lines] of Object.entries(tables)) {
    await writeFile(join(configDirectory, name), `${lines.join('\n')}\n`);
  }
  await writeFile(join(configDirectory, 'main.cf'), mainConfiguration({ ...options, home, info }));
  await writeFile(join(configDirectory, 'master.cf'), services(info, configDirectory));
  await makeQueue(home);
  return info;
}

/** Starts a configured Postfix and waits until it answers. */
export async function startPostfix(info: PostfixInfo): Promise<Daemon> {
  // The master itself, not `postfix start-fg`: that would put a shell between it and us.
  const daemon = startDaemon({
    name: 'Postfix',
    command: '/usr/lib/postfix/sbin/master',
    args: ['-s', '-c', info.configDirectory],
    logPath: info.logPath,
  });
  await waitForPort({ port: info.mxPort, daemon, greets: true });
  await waitForPort({ port: info.submissionPort, daemon, greets: true });
  return daemon;
}

/** What `postfix check` would make, in a tenth of its time. */
async function makeQueue(home: string): Promise<void> {
  const owner = await accountIds('postfix');
  const dropGroup = await groupId('postdrop');
  const queue = join(home, 'queue');
  await mkdir(queue);
  await mkdir(join(queue, 'pid'));
  const data = join(home, 'data');
  const own = 'incoming active bounce corrupt defer deferred flush hold private saved trace'.split(' ');
  for (const path of [data, ...own.map((name) => join(queue, name))]) {
    await mkdir(path, { mode: 0o700 });
    await chown(path, owner.uid, owner.gid);
  }
  for (const [name, mode] of [
    ['public', 0o2710],
    ['maildrop', 0o1730],
  ] as const) {
    const path = join(queue, name);
    await mkdir(path);
    await chown(path, owner.uid, dropGroup);
    await chmod(path, mode);
  }
}

async function accountIds(name: string): Promise<{ uid: number; gid: number }> {
  const fields = (await runCommand('getent', ['passwd', name])).split(':');
  return { uid: Number(fields[2]), gid: Number(fields[3]) };
}

async function groupId(name: string): Promise<number> {
  return Number((await runCommand('getent', ['group', name])).split(':')[2]);
}

function mainConfiguration(options: {
  home: string;
  certificates: Certificates;
  lmtpPort: number;
  authSocketPath: string;
  info: PostfixInfo;
}): string {
  const { home, certificates, lmtpPort, authSocketPath, info } = options;
  return `
compatibility_level = 3.6
queue_directory = ${home}/queue
data_directory = ${home}/data
maillog_file = ${info.logPath}
maillog_file_prefixes = ${home}
myhostname = mail.servers.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
biff = no
append_dot_mydomain = no
alias_maps =
local_recipient_maps =
recipient_delimiter = +

# Everything is delivered into Dovecot, whatever its domain.
default_transport = lmtp:inet:127.0.0.1:${lmtpPort}
transport_maps = regexp:${info.configDirectory}/transports
lmtp_destination_concurrency_limit = 20
lmtp_tls_security_level = none
relay-plain_destination_concurrency_limit = 50
relay-plain_initial_destination_concurrency = 50

smtpd_tls_cert_file = ${certificates.certificatePath}
smtpd_tls_key_file = ${certificates.keyPath}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = ${authSocketPath}
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access regexp:${info.configDirectory}/recipientActions, permit
smtpd_end_of_data_restrictions = check_recipient_access regexp:${info.configDirectory}/dataActions, permit

message_size_limit = 52428800
mailbox_size_limit = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
queue_run_delay = 5s
minimal_backoff_time = 5s
maximal_backoff_time = 10s
`;
}

function services(info: PostfixInfo, configDirectory: string): string {
  const login =
    '  -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n';
  const startTls = `${login}  -o smtpd_tls_security_level=encrypt\n`;
  return `
127.0.0.1:${info.mxPort} inet n - n - - smtpd
127.0.0.1:${info.submissionPort} inet n - n - - smtpd
${startTls}  -o cleanup_service_name=cleanup-copy
127.0.0.1:${info.submissionTlsPort} inet n - n - - smtpd
${login}  -o smtpd_tls_wrappermode=yes -o cleanup_service_name=cleanup-copy
127.0.0.1:${info.rewritingPort} inet n - n - - smtpd
${startTls}  -o cleanup_service_name=cleanup-rewrite
127.0.0.1:${info.impatientPort} inet n - n - - smtpd
${startTls}  -o cleanup_service_name=cleanup-warn
127.0.0.1:${info.smallPort} inet n - n - - smtpd
  -o myhostname=mx.small.test -o message_size_limit=10000
127.0.0.1:${info.noCopyPort} inet n - n - - smtpd
${startTls}cleanup unix n - n - 0 cleanup
cleanup-warn unix n - n - 0 cleanup
  -o sender_bcc_maps=regexp:${configDirectory}/sentCopies
  -o delay_warning_time=1s
cleanup-copy unix n - n - 0 cleanup
  -o sender_bcc_maps=regexp:${configDirectory}/sentCopies
cleanup-rewrite unix n - n - 0 cleanup
  -o sender_bcc_maps=regexp:${configDirectory}/sentCopies
  -o header_checks=regexp:${configDirectory}/messageIdRewrite
  -o always_add_missing_headers=yes
pickup unix n - n 60 1 pickup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
relay-plain unix - - n - 100 smtp
  -o smtp_tls_security_level=none
relay-tls unix - - n - - smtp
  -o smtp_tls_security_level=encrypt
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
# Exit code 67 (EX_NOUSER): the error: transport would refuse at RCPT already.
bounce-later unix - n n - - pipe
  user=nobody argv=/bin/sh -c {echo No such user here; exit 67}
`;
}

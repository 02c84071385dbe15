import { access, constants, rm, writeFile } from 'node:fs/promises';
import { runCommand } from './processes.ts';

/** What the tests' own mail provider is made of: Debian's package, and the program that shows it is there. */
const needed = [
  { package: 'openssl', program: '/usr/bin/openssl', why: 'certificates made on the spot' },
  { package: 'dovecot-core', program: '/usr/sbin/dovecot', why: 'the IMAP server that mailboxes live on' },
  { package: 'dovecot-imapd', program: '/usr/lib/dovecot/imap', why: 'its IMAP' },
  { package: 'dovecot-lmtpd', program: '/usr/lib/dovecot/lmtp', why: 'its delivery of arriving mail' },
  { package: 'postfix', program: '/usr/sbin/postfix', why: 'the SMTP server that mail is submitted to' },
  {
    package: 'postgresql-15',
    program: '/usr/lib/postgresql/15/bin/postgres',
    why: 'the production database, started privately',
  },
  { package: 'swaks', program: '/usr/bin/swaks', why: 'a client of the logging addresses’ SMTP' },
  {
    package: 'libnet-ssleay-perl',
    program: '/usr/share/doc/libnet-ssleay-perl',
    why: 'its STARTTLS (a module, whose place depends on the processor)',
  },
  { package: 'chromium', program: '/usr/bin/chromium', why: 'the pages, as a browser shows them' },
];

/**
 * Installs with apt whatever of the tests' servers is missing, and says so; does nothing when all is there.
 * Debian's own daemons are not started by it: the tests start theirs in a private folder.
 */
export async function installServers(): Promise<void> {
  const missing = [];
  for (const entry of needed) if (!(await isThere(entry.program))) missing.push(entry);
  if (missing.length === 0) return;
  const names = missing.map((entry) => entry.package);
  if (!(await isThere('/usr/bin/apt-get')) || process.getuid?.() !== 0) {
    throw new Error(
      `The tests run on real servers and these Debian packages are missing: ${names.join(' ')}. ` +
        'They are installed by apt-get, as root; on this machine install them by hand, or run the ' +
        'tests in a Debian 12 container. A path as argument (npm test -- test/message) runs what needs no server.',
    );
  }
  console.log('Installing what the tests’ own servers need:');
  for (const entry of missing) console.log(`  ${entry.package}: ${entry.why}`);
  await withoutStartingServices(async () => {
    await runCommand('apt-get', ['update', '-q'], { env: quiet, timeoutMs: 300_000 });
    if (names.includes('postfix')) await preseedPostfix();
    await runCommand('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...names], {
      env: quiet,
      timeoutMs: 600_000,
    });
  });
}

const quiet = { DEBIAN_FRONTEND: 'noninteractive', DEBCONF_NONINTERACTIVE_SEEN: 'true' };

/** The package then asks nothing and writes no main.cf of its own. */
async function preseedPostfix(): Promise<void> {
  const answer = 'postfix postfix/main_mailer_type select No configuration';
  await runCommand('sh', ['-c', `echo "${answer}" | debconf-set-selections`], { env: quiet });
}

/** Debian asks /usr/sbin/policy-rc.d before a package starts its daemon; 101 forbids it. */
async function withoutStartingServices(work: () => Promise<void>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  if (await isThere(policy)) return work(); // A container's own policy: it forbids already.
  await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
  try {
    await work();
  } finally {
    await rm(policy, { force: true });
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}

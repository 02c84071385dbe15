import type { ProviderName, ServerAddress } from './providers.ts';

/** What a person must know before a program of theirs may log in; a word for a text. */
export type MailHostHint =
  /** The password of the website is refused: one for programs is made in its settings. */
  | 'app_password'
  /** IMAP is off until it is switched on in its settings. */
  | 'imap_off'
  /** A password for mail programs alone is set in its settings. */
  | 'mail_password'
  /** IMAP is for those who pay. */
  | 'paid'
  /** Only by a program of its own on the person's machine. */
  | 'bridge'
  /** Takes no password from other programs. */
  | 'no_password';

/** A host that many people are at. */
export type MailHost = {
  /** What people call it. */
  label: string;
  /** The domains of its own addresses. */
  domains: readonly string[];
  /** Ends of the names of its mail exchangers: by those other domains are known that it serves. */
  exchangers: readonly string[];
  /** Null: there is no way in by IMAP and SMTP. */
  servers: { imap: ServerAddress; smtp: ServerAddress } | null;
  hint: MailHostHint | null;
  /** It is connected by a consent, where that is offered. */
  provider: ProviderName | null;
};

const tls = (host: string, port: number): ServerAddress => ({ host, port, security: 'tls' });
const starttls = (host: string): ServerAddress => ({ host, port: 587, security: 'starttls' });

/** Most hosts: IMAP at 993 and SMTP at 465, both with TLS from the start (RFC 8314 §3). */
function host(
  label: string,
  [imap, smtp]: readonly [string, string | ServerAddress],
  more: Partial<Omit<MailHost, 'label' | 'servers' | 'domains' | 'exchangers'>> & {
    domains?: string;
    exchangers?: string;
  },
): MailHost {
  const servers = { imap: tls(imap, 993), smtp: typeof smtp === 'string' ? tls(smtp, 465) : smtp };
  const { domains = '', exchangers = '', hint = null, provider = null } = more;
  return { label, servers, hint, provider, domains: listed(domains), exchangers: listed(exchangers) };
}

function closed(label: string, hint: MailHostHint, domains: string, exchangers: string): MailHost {
  const known = { domains: listed(domains), exchangers: listed(exchangers) };
  return { label, servers: null, hint, provider: null, ...known };
}

const listed = (text: string) => text.split(' ').filter((name) => name !== '');

/** As their help pages have it (seen 2026-11). */
export const mailHosts: readonly MailHost[] = [
  host('Gmail', ['imap.gmail.com', 'smtp.gmail.com'], {
    domains: 'gmail.com googlemail.com',
    exchangers: 'google.com googlemail.com',
    hint: 'app_password',
    provider: 'gmail',
  }),
  {
    // Basic authentication ended for organisations in 2022, for Outlook.com in September 2024.
    label: 'Outlook',
    domains: listed(
      'outlook.com outlook.de outlook.fr outlook.it outlook.es outlook.at outlook.be outlook.ie outlook.pt outlook.dk ' +
        'hotmail.com hotmail.de hotmail.fr hotmail.it hotmail.es hotmail.co.uk hotmail.be hotmail.nl hotmail.ca ' +
        'live.com live.de live.fr live.it live.nl live.be live.co.uk live.ca live.at live.dk live.se msn.com passport.com',
    ),
    exchangers: listed('mail.protection.outlook.com olc.protection.outlook.com mx.microsoft'),
    servers: null,
    hint: 'no_password',
    provider: 'outlook',
  },
  host('Yahoo', ['imap.mail.yahoo.com', 'smtp.mail.yahoo.com'], {
    domains:
      'yahoo.com yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.co.uk yahoo.ca yahoo.ie yahoo.se yahoo.gr yahoo.ro yahoo.pl ymail.com rocketmail.com myyahoo.com',
    exchangers: 'yahoodns.net',
    hint: 'app_password',
  }),
  host('AOL', ['imap.aol.com', 'smtp.aol.com'], {
    domains: 'aol.com aol.de aol.fr aol.co.uk aim.com',
    hint: 'app_password',
  }),
  host('AT&T', ['imap.mail.att.net', 'smtp.mail.att.net'], {
    domains: 'att.net sbcglobal.net bellsouth.net pacbell.net swbell.net',
    hint: 'app_password',
  }),
  host('iCloud', ['imap.mail.me.com', starttls('smtp.mail.me.com')], {
    domains: 'icloud.com me.com mac.com',
    exchangers: 'mail.icloud.com',
    hint: 'app_password',
  }),
  host('GMX', ['imap.gmx.net', 'mail.gmx.net'], {
    domains: 'gmx.de gmx.net gmx.at gmx.ch gmx.eu gmx.org gmx.info gmx.biz',
    exchangers: 'gmx.net',
    hint: 'imap_off',
  }),
  host('GMX', ['imap.gmx.com', 'mail.gmx.com'], {
    domains: 'gmx.com gmx.us gmx.co.uk gmx.fr gmx.es gmx.it',
    exchangers: 'gmx.com',
    hint: 'imap_off',
  }),
  host('WEB.DE', ['imap.web.de', starttls('smtp.web.de')], {
    domains: 'web.de email.de',
    exchangers: 'web.de',
    hint: 'imap_off',
  }),
  host('mail.com', ['imap.mail.com', starttls('smtp.mail.com')], {
    domains: 'mail.com email.com usa.com consultant.com engineer.com europe.com post.com',
    exchangers: 'mail.com',
    hint: 'paid',
  }),
  host('T-Online', ['secureimap.t-online.de', 'securesmtp.t-online.de'], {
    domains: 't-online.de magenta.de',
    exchangers: 't-online.de',
    hint: 'mail_password',
  }),
  host('freenet', ['mx.freenet.de', starttls('mx.freenet.de')], {
    domains: 'freenet.de',
    exchangers: 'freenet.de',
  }),
  host('IONOS', ['imap.ionos.de', 'smtp.ionos.de'], { exchangers: 'ionos.de kundenserver.de' }),
  host('IONOS', ['imap.ionos.com', 'smtp.ionos.com'], { exchangers: 'ionos.com perfora.net' }),
  host('IONOS', ['imap.ionos.co.uk', 'smtp.ionos.co.uk'], { exchangers: 'ionos.co.uk' }),
  host('IONOS', ['imap.ionos.fr', 'smtp.ionos.fr'], { exchangers: 'ionos.fr' }),
  host('IONOS', ['imap.ionos.es', 'smtp.ionos.es'], { exchangers: 'ionos.es' }),
  host('STRATO', ['imap.strato.de', 'smtp.strato.de'], { exchangers: 'rzone.de' }),
  host('Hetzner', ['mail.your-server.de', 'mail.your-server.de'], { exchangers: 'your-server.de' }),
  host('mailbox.org', ['imap.mailbox.org', 'smtp.mailbox.org'], {
    domains: 'mailbox.org',
    exchangers: 'mailbox.org',
  }),
  host('Posteo', ['posteo.de', 'posteo.de'], {
    domains: 'posteo.de posteo.net posteo.org posteo.eu posteo.at posteo.ch',
    exchangers: 'posteo.de',
  }),
  host('Swisscom', ['imaps.bluewin.ch', 'smtpauths.bluewin.ch'], { domains: 'bluewin.ch bluemail.ch' }),
  host('Infomaniak', ['mail.infomaniak.com', 'mail.infomaniak.com'], {
    domains: 'ik.me ikmail.com etik.com',
    exchangers: 'infomaniak.ch infomaniak.com',
    hint: 'app_password',
  }),
  host('OVHcloud', ['ssl0.ovh.net', 'ssl0.ovh.net'], { exchangers: 'mail.ovh.net' }),
  host('Gandi', ['mail.gandi.net', 'mail.gandi.net'], { exchangers: 'mail.gandi.net' }),
  host('Orange', ['imap.orange.fr', 'smtp.orange.fr'], { domains: 'orange.fr wanadoo.fr' }),
  host('SFR', ['imap.sfr.fr', 'smtp.sfr.fr'], { domains: 'sfr.fr neuf.fr' }),
  host('La Poste', ['imap.laposte.net', 'smtp.laposte.net'], { domains: 'laposte.net' }),
  host('Libero', ['imapmail.libero.it', 'smtp.libero.it'], { domains: 'libero.it', hint: 'app_password' }),
  host('Virgilio', ['in.virgilio.it', 'out.virgilio.it'], { domains: 'virgilio.it' }),
  host('Aruba', ['imaps.aruba.it', 'smtps.aruba.it'], { exchangers: 'aruba.it' }),
  host('KPN', ['imap.kpnmail.nl', starttls('smtp.kpnmail.nl')], {
    domains: 'kpnmail.nl planet.nl hetnet.nl kpnplanet.nl',
  }),
  host('Ziggo', ['imap.ziggo.nl', starttls('smtp.ziggo.nl')], { domains: 'ziggo.nl home.nl' }),
  host('Telenet', ['imap.telenet.be', starttls('smtp.telenet.be')], { domains: 'telenet.be' }),
  host('one.com', ['imap.one.com', 'send.one.com'], { exchangers: 'one.com' }),
  host('Seznam', ['imap.seznam.cz', 'smtp.seznam.cz'], {
    domains: 'seznam.cz email.cz post.cz spoluzaci.cz',
    exchangers: 'seznam.cz',
  }),
  host('WP', ['imap.wp.pl', 'smtp.wp.pl'], { domains: 'wp.pl', hint: 'imap_off' }),
  host('o2', ['poczta.o2.pl', 'poczta.o2.pl'], { domains: 'o2.pl tlen.pl go2.pl', hint: 'imap_off' }),
  host('Onet', ['imap.poczta.onet.pl', 'smtp.poczta.onet.pl'], {
    domains: 'onet.pl op.pl onet.eu poczta.onet.pl vp.pl',
    hint: 'imap_off',
  }),
  host('Interia', ['poczta.interia.pl', 'poczta.interia.pl'], { domains: 'interia.pl interia.eu poczta.fm' }),
  host('BT', ['mail.btinternet.com', 'mail.btinternet.com'], { domains: 'btinternet.com btopenworld.com' }),
  host('Virgin Media', ['imap.virginmedia.com', 'smtp.virginmedia.com'], {
    domains: 'virginmedia.com ntlworld.com blueyonder.co.uk',
    hint: 'app_password',
  }),
  host('Fastmail', ['imap.fastmail.com', 'smtp.fastmail.com'], {
    domains: 'fastmail.com fastmail.fm',
    exchangers: 'messagingengine.com',
    hint: 'app_password',
  }),
  host('Zoho', ['imap.zoho.eu', 'smtp.zoho.eu'], { domains: 'zoho.eu zohomail.eu', hint: 'imap_off' }),
  host('Zoho', ['imap.zoho.com', 'smtp.zoho.com'], { domains: 'zoho.com zohomail.com', hint: 'imap_off' }),
  // Domains of customers are at other servers than Zoho's own.
  host('Zoho', ['imappro.zoho.eu', 'smtppro.zoho.eu'], { exchangers: 'zoho.eu', hint: 'imap_off' }),
  host('Zoho', ['imappro.zoho.com', 'smtppro.zoho.com'], { exchangers: 'zoho.com', hint: 'imap_off' }),
  host('Rackspace', ['secure.emailsrvr.com', 'secure.emailsrvr.com'], { exchangers: 'emailsrvr.com' }),
  host('GoDaddy', ['imap.secureserver.net', 'smtpout.secureserver.net'], { exchangers: 'secureserver.net' }),
  host('Namecheap', ['mail.privateemail.com', 'mail.privateemail.com'], { exchangers: 'privateemail.com' }),
  host('DreamHost', ['imap.dreamhost.com', 'smtp.dreamhost.com'], { exchangers: 'dreamhost.com' }),
  host('Hostinger', ['imap.hostinger.com', 'smtp.hostinger.com'], { exchangers: 'hostinger.com' }),
  host('Migadu', ['imap.migadu.com', 'smtp.migadu.com'], { exchangers: 'migadu.com' }),
  host('Runbox', ['mail.runbox.com', 'mail.runbox.com'], { domains: 'runbox.com', exchangers: 'runbox.com' }),
  closed('Proton Mail', 'bridge', 'proton.me protonmail.com protonmail.ch pm.me', 'protonmail.ch'),
  closed(
    'Tuta',
    'no_password',
    'tuta.com tuta.io tutanota.com tutanota.de tutamail.com keemail.me',
    'tutanota.de',
  ),
];

const byDomain = new Map(mailHosts.flatMap((one) => one.domains.map((domain) => [domain, one] as const)));
const byExchanger = new Map(mailHosts.flatMap((one) => one.exchangers.map((name) => [name, one] as const)));

/** The host of an address of this domain (lower case, ASCII); null: not one of these. */
export function mailHostOf(domain: string): MailHost | null {
  return byDomain.get(domain) ?? null;
}

/** The host whose IMAP server has this name; null: not one of these. */
export function mailHostByServer(name: string): MailHost | null {
  return (
    mailHosts.find(({ servers }) => servers?.imap.host === name.toLowerCase().replace(/\.$/, '')) ?? null
  );
}

/** The host that a mail exchanger belongs to: by its whole name or the end of it. */
export function mailHostByExchanger(name: string): MailHost | null {
  const labels = name.toLowerCase().replace(/\.$/, '').split('.');
  for (let first = 0; first < labels.length - 1; first += 1) {
    const found = byExchanger.get(labels.slice(first).join('.'));
    if (found !== undefined) return found;
  }
  return null;
}

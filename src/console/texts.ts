/**
 * Every word that people read on the pages, in one place: another language is another such table.
 * `{name}` stands for a value, which is escaped and set apart where it is shown.
 */
const english = {
  'page.language': 'en',
  'page.footer': 'Two-way e-mail sync',
  'page.back': 'Back to {host}',
  'page.cancel': 'Cancel and go back to {host}',
  'page.retry': 'Try again',
  'page.for': 'For',
  'page.in': 'In',

  'start.title': 'Connect your mailbox',
  'start.lead': 'Choose where your mailbox is. You sign in there next.',
  'start.lead_one': 'You sign in at {provider}; your password does not come here.',
  'start.reconnect_title': 'Reconnect your mailbox',
  'start.reconnect_lead': 'Please sign in with the same account again: {address}.',
  'start.replace_title': 'Change your mailbox',
  'start.replace_lead':
    'The mailbox that you choose now takes the place of {address}. What is stored stays; later messages of conversations in the old mailbox are no longer synced.',
  'start.promise': 'What happens then',
  'start.promise_contacts': 'Mail between you and the contacts of {company} shows there, in both directions.',
  'start.promise_private': 'All other mail stays private: it is neither copied nor shown to anybody.',
  'start.promise_end': 'You can disconnect at any time.',
  'start.choices': 'Your mailbox is at',
  'start.gmail': 'Gmail',
  'start.gmail_hint': 'Gmail and Google Workspace',
  'start.outlook': 'Outlook',
  'start.outlook_hint': 'Outlook.com and Microsoft 365',
  'start.imap': 'Another mail host',
  'start.imap_hint': 'Any host with IMAP and SMTP, by password',
  'start.sandbox': 'Sandbox',
  'start.sandbox_hint': 'A pretend mailbox on this machine, to try things out',
  'start.continue': 'Continue to {provider}',

  'confirm.title': 'Is this you?',
  'confirm.lead':
    'This browser is not the one in which connecting was begun, or it keeps no cookies. Your {provider} mailbox would be connected as follows.',
  'confirm.warning': 'If you did not begin this yourself, close this page: somebody may be after your mail.',
  'confirm.yes': 'Yes, connect my mailbox',

  'imap.title': 'Connect another mail host',
  'imap.lead':
    'Your mail host’s help pages name the servers. The login is tried at both before anything is stored.',
  'imap.address': 'E-mail address',
  'imap.password': 'Password',
  'imap.password_hint': 'An app password, where your host has those. It is kept encrypted.',
  'imap.user': 'User name',
  'imap.user_hint': 'Leave empty where it is the e-mail address.',
  'imap.incoming': 'Incoming mail (IMAP)',
  'imap.outgoing': 'Outgoing mail (SMTP)',
  'imap.host': 'Server',
  'imap.port': 'Port',
  'imap.security': 'Encryption',
  'imap.tls': 'TLS',
  'imap.starttls': 'STARTTLS',
  'imap.none': 'None',
  'imap.submit': 'Connect',
  'imap.wait': 'This can take up to a minute.',
  'imap.other': 'Choose another kind of mailbox',
  'imap.check': 'Please look at these fields again',

  'field.address': 'This is no e-mail address.',
  'field.password': 'The password is missing.',
  'field.host': 'The name of the server is missing or is none.',
  'field.port': 'A port is a number from 1 to 65535.',
  'field.security': 'Choose one of the three.',
  'field.user': 'This user name is too long.',

  'problem.title': 'The mailbox is not connected yet',
  'problem.imap_unreachable':
    'The incoming server (IMAP) gave no usable answer. Check its name, port and encryption.',
  'problem.imap_login_refused':
    'The incoming server (IMAP) refused the login. Check user name and password; some hosts want an app password, or IMAP to be switched on.',
  'problem.smtp_unreachable':
    'The incoming server took the login, but the outgoing server (SMTP) gave no usable answer. Check its name, port and encryption.',
  'problem.smtp_login_refused':
    'The incoming server took the login, but the outgoing server (SMTP) refused it.',
  'problem.imap_tls_untrusted':
    'The certificate of the incoming server (IMAP) is not trusted. Check the server’s name, or tell your administrator.',
  'problem.smtp_tls_untrusted':
    'The certificate of the outgoing server (SMTP) is not trusted. Check the server’s name, or tell your administrator.',
  'problem.imap_tls_failed':
    'The incoming server (IMAP) does not speak this kind of encryption at this port. TLS is usual at 993, STARTTLS at 143.',
  'problem.smtp_tls_failed':
    'The outgoing server (SMTP) does not speak this kind of encryption at this port. TLS is usual at 465, STARTTLS at 587.',
  'problem.imap_private_address':
    'The incoming server (IMAP) is in a private network, which is not allowed here, or its name is none. Your administrator can allow it.',
  'problem.smtp_private_address':
    'The outgoing server (SMTP) is in a private network, which is not allowed here, or its name is none. Your administrator can allow it.',

  'connected.title': 'Your mailbox is connected',
  'connected.text': '{address} is connected. New mail with contacts of {company} syncs from now on.',
  'connected.next': 'You can close this page.',
  'connected.next_return': 'You are being taken back to {host}.',

  'refused.title': 'You did not allow access',
  'refused.text': 'Nothing was connected, and nothing was changed.',
  'refused.next': 'If that was a mistake, try again and choose “Allow” at {provider}.',

  'permission_missing.title': 'A permission is missing',
  'permission_missing.text':
    'What follows is needed to sync your mail and was not allowed, so nothing was connected:',
  'permission_missing.next': 'Try again and tick every box on {provider}’s page.',
  'permission.https://mail.google.com/': 'Read, compose, send and permanently delete all your email',
  'permission.IMAP.AccessAsUser.All': 'Read and write access to mailboxes via IMAP',
  'permission.SMTP.Send': 'Send emails from mailboxes using SMTP AUTH',

  'admin_consent_required.title': 'Your administrator must allow this first',
  'admin_consent_required.text':
    'Your organisation wants an administrator to allow this application before you can connect. Nothing is wrong with your account.',
  'admin_consent_required.next':
    'When the administrator has allowed it, begin again where you came from: this page works for half an hour only.',
  'admin.section': 'Did Microsoft say “Need admin approval”?',
  'admin.section_text': 'Then your administrator must allow this application first.',
  'admin.label': 'Send this link to your administrator',
  'admin.hint': 'Click into the field and copy. The administrator can open it for 30 days.',
  'admin.mail': 'Write an e-mail with the link',
  'admin.open': 'I am the administrator: open it',
  'admin.mail_subject': 'Please allow an application for our mailboxes',
  'admin.mail_body':
    'Hello,\n\nto connect my mailbox I need you to allow an application for our organisation. Please open this link and sign in as an administrator:\n\n{url}\n\nThank you',

  'admin_allowed.title': 'The application is allowed',
  'admin_allowed.text': 'The people of your organisation can connect their mailboxes now.',
  'admin_allowed.next':
    'Please tell {user} to connect again. If that is you, go back to the page where you began and try again.',
  'admin_allowed.next_anybody': 'Please tell whoever sent you the link to connect again.',
  'admin_refused.title': 'The application was not allowed',
  'admin_refused.text':
    'Microsoft did not accept the consent: it was refused, or the account is no administrator’s.',
  'admin_refused.next': 'The same link can be opened again.',

  'blocked_by_administrator.title': 'Your organisation blocks this',
  'blocked_by_administrator.text':
    'A rule of your organisation keeps this application, or this way of signing in, from your account.',
  'blocked_by_administrator.next':
    'Please ask your administrator to allow it. Trying again before that will not help.',

  'wrong_account_type.title': 'This account cannot be used here',
  'wrong_account_type.text':
    'It is of another organisation, or of another kind, than this application is meant for.',
  'wrong_account_type.next': 'Try again with another account, or ask your administrator.',

  'address_unverified.title': 'The address of this account is not verified',
  'address_unverified.text':
    '{provider} cannot vouch that the address belongs to this account, so it was not connected.',
  'address_unverified.next': 'Verify the address at {provider}, or try again with another account.',

  'wrong_identity.title': 'That is another account',
  'wrong_identity.text': 'Connected is {expected}. You signed in as {given}. Nothing was changed.',
  'wrong_identity.next':
    'Try again as {expected}. To move to another mailbox, choose to change your e-mail where you came from.',
  'same_address.text':
    'You signed in as {given}, with another account than the connected one of that address. Nothing was changed.',
  'same_address.next':
    'Try again with the account that you connected before. To move to the new one, choose to change your e-mail where you came from.',

  'unavailable.title': '{provider} cannot be reached',
  'unavailable.text':
    'There was no usable answer. Nothing was changed, and nothing is wrong with your account.',
  'unavailable.next': 'Please try again in a few minutes.',

  'failed.title': 'That did not work',
  'failed.text': '{provider} did not complete the sign-in. Nothing was changed.',
  'failed.next': 'Please try again. If it fails again, tell your administrator the time of it.',

  'operator.title': 'This is not set up correctly',
  'operator.text':
    'The connection to {provider} is not set up correctly here. You did nothing wrong, and trying again will not help.',
  'operator.next': 'Please tell your administrator. The log of the gateway says more.',

  'link_unknown.title': 'This link leads nowhere',
  'link_unknown.text': 'It is not complete, or it was for somebody who is no longer a member.',
  'link_unknown.next': 'Go back to where you found it and begin again there.',
  'link_expired.title': 'This link has expired',
  'link_expired.text': 'For your safety it works for half an hour only.',
  'link_expired.next': 'Go back to where you found it and begin again there.',
  'link_used.title': 'This link has been used',
  'link_used.text': 'A mailbox was connected by it already, and it works once.',
  'link_used.next': 'There is nothing left to do here. For another change, begin again where you found it.',

  'state_unknown.title': 'This page was not reached in the right way',
  'state_unknown.text':
    'What came back is not the answer to anything that was begun here. Nothing was changed.',
  'state_unknown.next': 'Go back to where you started and begin again there.',
  'state_used.title': 'This page has been used',
  'state_used.text': 'The answer was taken once already, and counts once.',
  'state_used.next': 'Go back to where you started to see how things stand.',
  'state_expired.title': 'That took too long',
  'state_expired.text': 'For your safety the answer counts for an hour only. Nothing was changed.',
  'state_expired.next': 'Go back to where you started and begin again there.',

  'not_same_origin.title': 'Please open the link again',
  'not_same_origin.text':
    'It is not certain that this came from our own page: it was open for too long, or cookies are blocked.',
  'not_same_origin.next': 'Open the link again, and allow cookies for this site.',
  'too_many_tries.title': 'Too many tries',
  'too_many_tries.text': 'This link has been tried too often.',
  'too_many_tries.next': 'Go back to where you found it and begin again there.',
  'too_large.title': 'That is too much',
  'too_large.text': 'The form was larger than any of ours.',
  'too_large.next': 'Go back and try again with less.',
  'not_a_member.title': 'You are no longer a member',
  'not_a_member.text': '{user} is no member of {company} any more, so nothing was connected.',
  'not_a_member.next': 'Please ask your administrator.',
  'internal.title': 'Something went wrong here',
  'internal.text': 'The fault is ours. Nothing was half done.',
  'internal.next': 'Please try again. If it happens again, tell your administrator the time of it.',
  'not_found.title': 'There is no such page',
  'not_found.text': 'The address is not complete, or it was never one.',
  'not_found.next': 'Go back to where you found it.',
} as const;

export type TextKey = keyof typeof english;

type Names<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;

/** Texts without values. */
export type PlainKey = {
  [Key in TextKey]: Names<(typeof english)[Key]> extends never ? Key : never;
}[TextKey];

/** The values that a text needs: none, or all of its names. */
export type Values<Key extends TextKey> =
  Names<(typeof english)[Key]> extends never ? [] : [values: Record<Names<(typeof english)[Key]>, string>];

/** A text in pieces, in order: words of ours and values of somebody's. */
export type Piece = { text: string; isValue: boolean };

/** A text with its values, for where they are set apart. */
export function pieces<Key extends TextKey>(key: Key, ...[values]: Values<Key>): Piece[] {
  return piecesOf(key, values ?? {});
}

/** The same as one string, for titles and attributes. */
export function words<Key extends TextKey>(key: Key, ...values: Values<Key>): string {
  return pieces(key, ...values)
    .map((piece) => piece.text)
    .join('');
}

/** For keys that are put together: whether there is such a text, and what it says; values that are missing stay out. */
export function findText(key: string, values: Readonly<Record<string, string>> = {}): Piece[] | null {
  return Object.hasOwn(english, key) ? piecesOf(key as TextKey, values) : null;
}

function piecesOf(key: TextKey, values: Readonly<Record<string, string>>): Piece[] {
  return english[key]
    .split(/\{(\w+)\}/)
    .map((part, index) =>
      index % 2 === 0 ? { text: part, isValue: false } : { text: values[part] ?? '', isValue: true },
    )
    .filter((piece) => piece.text !== '');
}

/** What one person is told of their own connection and mail: what to do about a state, why mail was stored or left out. */
export const mailboxReasonsEnglish = {
  'mine.remedy.connecting': 'Your mailbox is being opened. There is nothing to do.',
  'mine.remedy.catching_up': 'Mail that arrived meanwhile is being looked at. There is nothing to do.',
  'mine.remedy.live': 'All is well. New mail with your contacts shows in the CRM by itself.',
  'mine.remedy.degraded':
    'Your mail provider cannot be reached at the moment. It is tried again by itself, and nothing is lost meanwhile.',
  'mine.remedy.rate_limited':
    'Your mail provider asked for a pause. It goes on by itself, and nothing is lost meanwhile.',
  'mine.remedy.reauth_required':
    'Your mail provider no longer lets us in. Please connect again; everything that arrived meanwhile is then caught up on.',
  'mine.remedy.admin_consent_required':
    'An administrator of your organisation must allow the application first. When that is done, connect again.',
  'mine.remedy.permission_missing':
    'Something that the sync needs was not allowed. Please connect again, and allow everything that is asked for.',
  'mine.remedy.paused':
    'An administrator paused your connection, and can resume it. What arrives meanwhile is looked at then.',
  'mine.remedy.superseded': 'Another mailbox took its place.',
  'mine.remedy.disconnected':
    'Nothing new is read. You can connect again at any time; the sync then starts from that moment.',
  'mine.remedy.refuses_connections':
    'Your mail server takes no connections. It is tried again by itself, and nothing is lost meanwhile. If it lasts, ask your mail host, or connect again with the right server and port.',
  'mine.remedy.unreachable':
    'Your mail server cannot be reached. It is tried again by itself, and nothing is lost meanwhile. If it lasts, ask your mail host, or connect again with the right server and port.',
  'mine.remedy.unknown_host':
    'The name of your mail server cannot be found. It is tried again by itself, and nothing is lost meanwhile. If it lasts, connect again with the right server.',
  'mine.remedy.private_address': 'Your mail server is in a private network. Your administrator can allow it.',
  'mine.remedy.certificate':
    'The certificate of your mail server is not trusted. It is tried again by itself, and nothing is lost meanwhile. If it lasts, ask your mail host to renew it, or connect again with the right server.',
  'mine.remedy.web_login':
    'Your mail provider wants you to sign in there once, in a browser. It then goes on by itself.',
  'mine.remedy.no_licence':
    'Your mail provider opens no mailbox for your login. It is tried again by itself, and nothing is lost meanwhile. If it lasts, ask your administrator whether your mailbox has a licence, and IMAP is switched on for it.',
  'mine.remedy.too_many_connections':
    'Your mail provider allows no more connections to your mailbox. It goes on by itself, and nothing is lost meanwhile. If it lasts, close other programs that read your mail.',
  'mine.remedy.bandwidth':
    'Your mailbox has used up what your mail provider lets programs download in a day. It goes on by itself, and nothing is lost meanwhile.',
  'mine.remedy.login_refused':
    'Your mail provider refuses the login. Please connect again, with your new password if you changed it.',

  'mine.reason.crm_send': 'It was sent from the CRM.',
  'mine.reason.sent_copy': 'It is your mailbox’s own copy of what the CRM sent.',
  'mine.reason.duplicate': 'It is stored already, and was seen once more.',
  'mine.reason.from_contact': 'A contact wrote it.',
  'mine.reason.thread_member': 'It belongs to a thread that syncs.',
  'mine.reason.thread_unlinked': 'It belongs to a thread that no longer syncs.',
  'mine.reason.no_match': 'It is private: no contact is on it, and it belongs to no thread of the CRM.',
  'mine.reason.to_contact': 'You wrote it to a contact.',
  'mine.reason.not_assigned': 'The contact is assigned to somebody else, or in another company.',
  'mine.reason.by_hand': 'It was asked for by hand.',
  'mine.reason.claimed_elsewhere':
    'Mail with this contact belongs to another company in which you work: it was answered from there first.',
  'mine.reason.feature_off':
    'Your company has two-way sync for Outlook turned off: only threads that began in the CRM sync.',
  'mine.reason.counterpart_is_user': 'Only colleagues, or you yourself, are on the other side.',
  'mine.reason.delivery_report': 'It is a report about a mail that the CRM sent, and shows there.',
  'mine.reason.read_receipt': 'It is a read receipt for a mail that the CRM sent, and shows there.',
  'mine.reason.automatic': 'No person wrote it: it is an automatic mail, a mailing list or a mass mail.',
  'mine.reason.draft': 'It is a draft.',
  'mine.reason.spam_or_trash': 'It is in Spam or Trash.',
  'mine.reason.never_log': 'Somebody on it is on a never-log list.',
  'mine.reason.before_connection': 'It is older than your connection.',
  'mine.reason.erased': 'It was erased from the CRM, and does not come back.',
  'mine.reason.unreadable': 'It could not be read.',
  'mine.reason.logged': 'You sent it to your logging address.',
  'mine.reason.not_the_user': 'It came to your logging address from an address that is not yours.',
  'mine.reason.unproven': 'It came to your logging address without proof that you sent it.',
  'mine.reason.too_many_recipients': 'It came to your logging address, and went to a great many people.',
  'mine.reason.forward_unclear':
    'It was forwarded to your logging address, and it is not clear who wrote it.',
  'mine.reason.attachment_too_large': 'Its attachments are larger than your mailbox’s limit.',
  'mine.reason.mail_loop': 'It came to your logging address from another one, or went in circles.',
  'mine.reason.address_gone': 'The logging address that it came to belongs to nobody any more.',
  'mine.reason.discarded': 'It waited for review, and was discarded.',

  'mine.step.S14': 'Is it a draft, or in Spam or Trash?',
  'mine.step.S12': 'Is it stored already?',
  'mine.step.D6': 'Is it a report about a mail that the CRM sent?',
  'mine.step.C7': 'Was it erased from the CRM before?',
  'mine.step.C8': 'Is it older than your connection?',
  'mine.step.S15': 'Is somebody on it on a never-log list?',
  'mine.step.S7': 'Are only colleagues on the other side?',
  'mine.step.by_hand': 'Was it asked for by hand?',
  'mine.step.S10': 'Has your company turned two-way sync for Outlook off?',
  'mine.step.S4': 'Does it belong to a thread that no longer syncs?',
  'mine.step.S3': 'Does it belong to a thread that syncs?',
  'mine.step.S11': 'Is it an automatic mail, a mailing list or a mass mail?',
  'mine.step.S9': 'Does mail with the contact belong to another company?',
  'mine.step.S8': 'Is the contact assigned to somebody else?',
  'mine.step.S2': 'Did a contact write it?',
  'mine.step.S6': 'Did you write it to a contact?',
  'mine.step.S5': 'Does no rule ask for it?',
  'mine.step.B6': 'Did a program write it, or does it go in circles?',
  'mine.step.B1': 'Does the logging address belong to nobody any more?',
  'mine.step.B4': 'Is it in doubt that you sent it?',
  'mine.step.B2': 'Is it unclear whom it is with?',
  'mine.step.L1': 'Are its attachments larger than your mailbox’s limit?',
} as const;

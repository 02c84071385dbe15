/** The pages of one person’s own mailbox. */
export const mailboxEnglish = {
  'mailbox.title': 'My mailbox',
  'mailbox.open': 'Open my mailbox',
  'mailbox_link_used.title': 'This link has been used',
  'mailbox_link_used.text': 'A link opens these pages once.',
  'mailbox_link_used.next': 'Open them again from your CRM.',
  'mailbox_link_expired.title': 'This link has expired',
  'mailbox_link_expired.text': 'A link to these pages works for a few minutes only.',
  'mailbox_link_expired.next': 'Open them again from your CRM.',
} as const;

import type { mailboxEnglish } from './mailbox.en.ts';

export const mailboxGerman: Record<keyof typeof mailboxEnglish, string> = {
  'mailbox.title': 'Mein Postfach',
  'mailbox.open': 'Mein Postfach öffnen',
  'mailbox_link_used.title': 'Dieser Link wurde schon benutzt',
  'mailbox_link_used.text': 'Ein Link öffnet diese Seiten einmal.',
  'mailbox_link_used.next': 'Öffnen Sie sie noch einmal aus Ihrem CRM.',
  'mailbox_link_expired.title': 'Dieser Link ist abgelaufen',
  'mailbox_link_expired.text': 'Ein Link zu diesen Seiten gilt nur wenige Minuten.',
  'mailbox_link_expired.next': 'Öffnen Sie sie noch einmal aus Ihrem CRM.',
};

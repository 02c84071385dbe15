import type { adminEnglish } from './admin.en.ts';

export const adminGerman: Record<keyof typeof adminEnglish, string> = {
  'admin.title': 'Administration',
  'nav.overview': 'Übersicht',
  'nav.connections': 'Verbindungen',
  'nav.conversations': 'Unterhaltungen',
  'nav.why': 'Warum?',
  'nav.held': 'Zurückgehaltene Mail',
  'nav.sends': 'Gesendetes',
  'nav.webhooks': 'Webhooks',
  'nav.keys': 'Schlüssel',
  'nav.settings': 'Einstellungen',
  'nav.setup': 'Einrichtung',
  'nav.audit': 'Protokoll',
  'nav.account': 'Mein Konto',
};

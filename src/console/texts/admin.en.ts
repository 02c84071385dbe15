/** The pages of the administrators: what all of them share. */
export const adminEnglish = {
  'admin.title': 'Administration',
  'nav.overview': 'Overview',
  'nav.connections': 'Connections',
  'nav.conversations': 'Conversations',
  'nav.why': 'Why?',
  'nav.held': 'Held mail',
  'nav.sends': 'Sends',
  'nav.webhooks': 'Webhooks',
  'nav.keys': 'Keys',
  'nav.settings': 'Settings',
  'nav.setup': 'Set-up',
  'nav.audit': 'Audit log',
  'nav.account': 'My account',
} as const;

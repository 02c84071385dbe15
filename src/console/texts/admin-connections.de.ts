import type { adminConnectionsEnglish } from './admin-connections.en.ts';

export const adminConnectionsGerman: Record<keyof typeof adminConnectionsEnglish, string> = {
  'conn.search': 'Postfach oder Person',
  'conn.search_hint': 'Ein Teil der Adresse, des Namens oder der Kennung',
  'conn.sub_account': 'Unterkonto',
  'conn.provider': 'Anbieter',
  'conn.all_providers': 'Alle',
  'conn.provider.gmail': 'Gmail',
  'conn.provider.outlook': 'Outlook',
  'conn.provider.imap': 'Anderer Mail-Anbieter',
  'conn.provider.sandbox': 'Sandbox',
  'conn.all': 'Alle',
  'conn.by_state': 'Verbindungen nach Zustand',
  'conn.mailbox': 'Postfach',
  'conn.no_mailbox': 'Noch kein Postfach',
  'conn.state': 'Zustand',
  'conn.since': 'seit',
  'conn.user': 'Person',
  'conn.caught_up_to': 'Gesichtet bis',
  'conn.none': 'Noch niemand hat ein Postfach verbunden. Das CRM holt einen Link, und die Person öffnet ihn.',
  'conn.none_found': 'Keine Verbindung ist so.',
  'conn.show_all': 'Alle Verbindungen zeigen',

  'conn.reason': 'Ursache',
  'conn.next_try': 'Nächster Versuch',
  'conn.not_looked': 'Das Postfach wurde noch nicht angesehen',
  'conn.caught_up_hint': 'Über jede Mail, die vorher ankam, ist entschieden.',
  'conn.backlog': 'Noch nicht beurteilte Mails',
  'conn.started': 'Gleicht ab seit',
  'conn.ended': 'Beendet',
  'conn.id': 'Verbindung',
  'conn.limits': 'Einzelne Mails in 24 Stunden',
  'conn.no_limit': '{used}, ohne Grenze',
  'conn.works_again': 'Senden geht wieder',
  'conn.audit': 'Letzte Prüfung',
  'conn.audit.queued': 'Wartet, bis sie an der Reihe ist.',
  'conn.audit.running': 'Läuft.',
  'conn.audit.waiting': 'Wartet und läuft von selbst weiter.',
  'conn.audit.finished': 'Ist fertig.',
  'conn.audit.failed': 'Blieb ohne Ergebnis.',
  'conn.audit.cancelled': 'Wurde abgebrochen.',
  'conn.audit.found':
    '{messages} Mails verglichen, {missing} hatten keine Entscheidung, {healed} davon wurden dabei beurteilt.',
  'conn.actions': 'Was Sie tun können',
  'conn.do.pause': 'Anhalten',
  'conn.means.pause':
    'Bis zum Fortsetzen wird nichts beurteilt und nichts darüber gesendet. Verloren geht in dieser Zeit nichts.',
  'conn.do.resume': 'Fortsetzen',
  'conn.means.resume': 'Was inzwischen kam, wird jetzt beurteilt, und was zurückgehalten wurde, gesendet.',
  'conn.do.audit': 'Jetzt prüfen',
  'conn.means.audit':
    'Vergleicht die Mail der letzten 14 Tage mit den Entscheidungen und beurteilt, was keine hat.',
  'conn.do.disconnect': 'Trennen …',
  'conn.means.disconnect':
    'Der Abgleich endet, und seine Verläufe werden gelöst. Gespeichertes bleibt. Nutzt niemand sonst das Postfach, wird der Zugang dem Anbieter zurückgegeben. Nur die Person selbst kann es wieder verbinden, und Mail, die bis dahin kommt, bleibt draußen.',
  'conn.confirm.disconnect': 'Dieses Postfach trennen',
  'conn.done.pause': 'Die Verbindung ist angehalten.',
  'conn.done.resume': 'Die Verbindung läuft weiter.',
  'conn.done.audit': 'Die Prüfung ist unterwegs. Laden Sie die Seite neu, um zu sehen, was sie findet.',
  'conn.done.disconnect': 'Die Verbindung ist getrennt.',
  'conn.done.not_connected': 'Nichts wurde geändert: Die Verbindung ist beendet oder hat noch kein Postfach.',

  'conn.remedy.connecting': 'Nichts zu tun: Das Postfach wird gerade verbunden.',
  'conn.remedy.catching_up': 'Nichts zu tun: Mail, die inzwischen kam, wird gerade gelesen.',
  'conn.remedy.live': 'Nichts zu tun.',
  'conn.remedy.degraded':
    'Nichts zu tun: Der Anbieter wird von selbst wieder versucht. Verloren geht in dieser Zeit nichts.',
  'conn.remedy.rate_limited':
    'Nichts zu tun: Der Anbieter hat um eine Pause gebeten. Verloren geht in dieser Zeit nichts.',
  'conn.remedy.reauth_required':
    'Nur die Person selbst kann helfen: Sie muss das Postfach noch einmal verbinden. Bis dahin wird nichts gelesen, und was sie sendet, wartet.',
  'conn.remedy.admin_consent_required':
    'Die Administration der Organisation muss die Anwendung erlauben; dann verbindet sich die Person.',
  'conn.remedy.permission_missing':
    'Die Person muss sich noch einmal verbinden und jede erbetene Berechtigung erlauben.',
  'conn.remedy.paused': 'Sie wurde angehalten und kann hier fortgesetzt werden.',
  'conn.remedy.superseded': 'Nichts zu tun: Ein anderes Postfach der Person ist an ihre Stelle getreten.',
  'conn.remedy.disconnected':
    'Die Person kann sich wieder verbinden; der Abgleich beginnt dann in diesem Augenblick.',
  'conn.remedy.refuses_connections':
    'Der Mailserver nimmt keine Verbindungen an. Er wird von selbst wieder versucht. Bleibt es so: Fragen Sie den Mail-Anbieter, oder lassen Sie die Person mit dem richtigen Server und Port neu verbinden.',
  'conn.remedy.unreachable':
    'Der Mailserver ist nicht erreichbar. Er wird von selbst wieder versucht. Bleibt es so: Fragen Sie den Mail-Anbieter, oder lassen Sie die Person mit dem richtigen Server und Port neu verbinden.',
  'conn.remedy.unknown_host':
    'Der Name des Mailservers ist nicht zu finden. Er wird von selbst wieder versucht. Bleibt es so: Lassen Sie die Person mit dem richtigen Server neu verbinden.',
  'conn.remedy.private_address':
    'Der Mailserver steht in einem privaten Netz. Soll das so sein, erlauben Sie es mit TWOWAY_ALLOW_PRIVATE.',
  'conn.remedy.certificate':
    'Dem Zertifikat des Mailservers wird nicht vertraut. Er wird von selbst wieder versucht. Bleibt es so: Bitten Sie den Mail-Anbieter, es zu erneuern.',
  'conn.remedy.web_login':
    'Die Person muss sich einmal mit dem Browser beim Anbieter anmelden; danach geht es von selbst weiter.',
  'conn.remedy.no_licence':
    'Der Anbieter öffnet zu dieser Anmeldung kein Postfach. Sehen Sie nach, ob es eine Lizenz hat und ob IMAP dafür eingeschaltet ist.',
  'conn.remedy.too_many_connections':
    'Der Anbieter erlaubt keine weiteren Verbindungen zu diesem Postfach. Bleibt es so, sollte die Person andere Programme schließen, die es lesen.',
  'conn.remedy.bandwidth':
    'Das Postfach hat verbraucht, was Programme an einem Tag herunterladen dürfen. Es geht von selbst weiter.',
  'conn.remedy.login_refused':
    'Der Anbieter weist die Anmeldung ab: Die Person muss das Postfach noch einmal verbinden, gegebenenfalls mit dem neuen Passwort.',

  'audit.connection.paused': 'Hat eine Verbindung angehalten',
  'audit.connection.resumed': 'Hat eine Verbindung fortgesetzt',
  'audit.connection.audited': 'Hat die Prüfung eines Postfachs verlangt',
  'audit.connection.disconnected': 'Hat ein Postfach getrennt',

  'life.days': 'In den letzten {days} Tagen beurteilt',
  'life.no_decisions': 'In diesen Tagen wurde keine Mail beurteilt.',
  'life.not_whole': 'Nur die neuesten {most} Entscheidungen sind hier gezählt.',
  'life.folders': 'Ordner',
  'life.folder': 'Ordner',
  'life.role': 'Art',
  'life.cursor': 'Gelesen bis UID',
  'life.last_mail': 'Letzte beurteilte Mail',
  'life.missing': 'Nicht mehr aufgeführt',
  'life.more_folders': 'Das Postfach hat mehr Ordner, als hier stehen.',
  'life.role.all': 'Alle Mails',
  'life.role.inbox': 'Posteingang',
  'life.role.sent': 'Gesendet',
  'life.role.archive': 'Archiv',
  'life.role.other': 'Ordner',
  'life.role.spam': 'Spam (nicht beobachtet)',
  'life.role.trash': 'Papierkorb (nicht beobachtet)',
  'life.role.drafts': 'Entwürfe (nicht beobachtet)',
  'life.title': 'Lebenslauf',
  'life.nothing': 'Noch ist nichts geschehen.',
  'life.token': 'Das Zugangs-Token wurde erneuert.',
  'life.no_login.one': 'Ein Versuch, sich anzumelden, schlug fehl.',
  'life.no_login.other': '{n} Versuche nacheinander, sich anzumelden, schlugen fehl.',
  'life.last_try': 'Der letzte:',
  'life.session_goes_on': 'Angemeldet; diese Sitzung dauert an.',
  'life.session_without_end':
    'Angemeldet. Wie sie endete, ist nicht bekannt: Das Gateway selbst wurde währenddessen beendet.',
  'life.session': 'Angemeldet für {length}.',
  'life.end.stopped': 'Das Gateway hörte auf zu lauschen.',
  'life.end.trace_begins': 'Was gesagt wird, soll aufgezeichnet werden.',
  'life.end.folders_changed': 'Die Ordner verlangten andere Verbindungen.',
  'life.end.connection_closed': 'Der Anbieter schloss die Verbindung.',
  'life.end.login_refused': 'Der Anbieter wies die Anmeldung ab.',
  'life.end.invalid_grant': 'Die Zustimmung gilt nicht mehr.',
  'life.end.credential_missing': 'Es gab keine Zugangsdaten.',
  'life.end.provider_throttles': 'Der Anbieter bat um eine Pause.',
  'life.end.bandwidth_limit': 'Die Download-Menge des Tages war verbraucht.',
  'life.end.too_many_connections': 'Der Anbieter erlaubte keine weitere Verbindung.',
  'life.end.server_unavailable': 'Der Server des Anbieters war nicht verfügbar.',
  'life.end.gateway_error': 'Das Gateway selbst scheiterte; sein Log sagt mehr.',
  'life.end.cursor_moved': 'Ein anderer Knoten las das Postfach.',
};

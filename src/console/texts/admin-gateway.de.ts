import type { adminGatewayEnglish } from './admin-gateway.en.ts';

export const adminGatewayGerman: Record<keyof typeof adminGatewayEnglish, string> = {
  'nav.gateway': 'Gateway',
  'nav.configuration': 'Konfiguration',
  'nav.administrators': 'Administratoren',

  'keys.label': 'Wofür er ist',
  'keys.label_hint': 'Für Menschen, etwa „CRM, Produktion“.',
  'keys.label_needed': 'Sagen Sie, wofür er ist: Später weiß es niemand mehr.',
  'keys.label_long': 'Das sind mehr als 200 Zeichen.',
  'keys.no_label': 'Nicht angegeben',
  'keys.sees': 'Sieht',
  'keys.all': 'Alle Unterkonten',
  'keys.may': 'Darf',
  'keys.write': 'Lesen und ändern',
  'keys.read': 'Nur lesen',
  'keys.since': 'Gemacht',
  'keys.revoke': 'Widerrufen',
  'keys.revoke_button': 'Schlüssel widerrufen',
  'keys.revoke_text':
    'Was die API damit aufruft, wird ab sofort abgewiesen. Das lässt sich nicht rückgängig machen.',
  'keys.empty': 'Es gibt keine Schlüssel: Das CRM kann die API nicht aufrufen. Machen Sie unten einen.',
  'keys.new': 'Einen Schlüssel machen',
  'keys.new_text':
    'Mit einem Schlüssel ruft das CRM die API auf. Er wird einmal gezeigt und nirgends gespeichert.',
  'keys.sub_account': 'Unterkonto',
  'keys.sub_account_hint': 'Dessen Kennung, wenn der Schlüssel nur dieses sehen soll; leer: alle.',
  'keys.unknown_sub_account': 'Es gibt kein Unterkonto mit dieser Kennung.',
  'keys.make': 'Schlüssel machen',
  'keys.made': 'Der neue Schlüssel',
  'keys.made_text':
    'Er wird nur dieses Mal gezeigt. Kopieren Sie ihn dorthin, wo das CRM seine Geheimnisse aufbewahrt.',

  'settings.find': 'Kennung des Unterkontos beginnt mit',
  'settings.empty':
    'Es gibt noch keine Unterkonten. Das CRM legt sie über die API an (PUT /v1/sub-accounts).',
  'settings.not_found': 'Kein Unterkonto hat eine solche Kennung.',
  'settings.sub_account': 'Unterkonto',
  'settings.name': 'Name',
  'settings.provider': 'Eigener Versandweg',
  'settings.no_provider': 'Keiner: Kampagnen und Automationen können nicht verschickt werden',
  'settings.changed': 'Einstellungen',
  'settings.defaults': 'Wie vorgegeben',
  'settings.changed_count.one': 'Eine geändert',
  'settings.changed_count.other': '{n} geändert',
  'settings.back': 'Alle Unterkonten',
  'settings.saved':
    'Gespeichert. Es gilt ab der nächsten Nachricht; nichts Gespeichertes kommt oder geht deswegen.',
  'settings.text':
    'Auch das CRM kann dies über die API ändern. Eine Änderung gilt ab der nächsten Nachricht; nichts Gespeichertes kommt oder geht deswegen.',
  'settings.default': 'Vorgabe',
  'settings.holds_now': 'Gilt jetzt',
  'settings.overtaken':
    'Nichts wurde gespeichert: Jemand, vielleicht das CRM, hat diese Einstellungen geändert, seit diese Seite offen ist. Ihre Auswahl ist noch da, und was jetzt gilt, ist bezeichnet. Speichern Sie noch einmal, wenn Ihre gelten soll.',

  'setting.sync_sent_to_contacts': 'Jemand schreibt einem Kontakt von sich aus in Gmail oder Outlook',
  'setting.sync_sent_to_contacts.true': 'Es erscheint im CRM',
  'setting.sync_sent_to_contacts.false':
    'Es bleibt im Postfach; Antworten in abgeglichenen Verläufen erscheinen in jedem Fall',
  'setting.assigned_contacts_only': 'Neue Mail mit einem Kontakt erscheint',
  'setting.assigned_contacts_only.when_shared':
    'Dort, wo der Kontakt der Person zugeordnet ist, deren Postfach es ist, solange es in mehreren Unterkonten verbunden ist',
  'setting.assigned_contacts_only.always':
    'Nur dort, wo der Kontakt der Person zugeordnet ist, deren Postfach es ist',
  'setting.assigned_contacts_only.never': 'Überall, wo es den Kontakt gibt',
  'setting.outlook_two_way_sync':
    'Was Kontakte zuerst an Outlook-Postfächer schreiben, und was dort von Hand geschrieben wird',
  'setting.outlook_two_way_sync.true': 'Erscheint wie bei jedem anderen Postfach',
  'setting.outlook_two_way_sync.false':
    'Bleibt dort; abgeglichen werden nur Verläufe, in denen das CRM eine Nachricht geschickt hat',
  'setting.fetch_thread_head': 'Ein Verlauf beginnt mit einer Antwort auf ältere Nachrichten',
  'setting.fetch_thread_head.true':
    'Die älteren werden im Postfach gesucht und kommen dazu, wenn sie dazugehören',
  'setting.fetch_thread_head.false': 'Er beginnt mit der Antwort',
  'setting.inbound_attachments': 'Eine Nachricht kommt mit Anhängen, die für ihr Postfach zu groß sind',
  'setting.inbound_attachments.skip_message':
    'Die Unterhaltung zeigt, wer wann worüber schrieb, bis jemand die Nachricht von Hand holt',
  'setting.inbound_attachments.omit_attachment': 'Sie wird ohne die Anhänge gespeichert',

  'configuration.text':
    'Womit dieses Gateway gestartet wurde. Geändert wird es in seiner Umgebung, und gilt ab dem nächsten Start. Geheimes wird nicht gezeigt.',
  'configuration.setting': 'Einstellung',
  'configuration.value': 'Wert',
  'configuration.secret': 'Gesetzt, wird nicht gezeigt',
  'configuration.empty': 'Leer',

  'setup.examine': 'Ist alles, wie es sein soll?',
  'setup.examine_text':
    'Sieht nach DNS, Zertifikat, Ports, Platte und Datenbank und sagt, was gegen das hilft, was nicht stimmt. Ändert nichts und dauert einige Sekunden.',
  'setup.examine_button': 'Jetzt nachsehen',
  'setup.failed':
    'Das hat zu lange gedauert oder war nicht möglich. Versuchen Sie es noch einmal, oder rufen Sie „npm run twoway -- doctor“ auf dem Rechner des Gateways auf.',
  'setup.sound': 'Es gibt keine Probleme.',
  'setup.problems.one': 'Es gibt ein Problem.',
  'setup.problems.other': 'Es gibt {n} Probleme.',
  'setup.ok': 'Gut',
  'setup.warning': 'Ansehen',
  'setup.problem': 'Problem',
  'setup.is_set': 'Eingerichtet',
  'setup.is_not_set': 'Nicht eingerichtet',
  'setup.redirect': 'Umleitungs-URI',
  'setup.scopes': 'Berechtigungen (Scopes)',
  'setup.gmail_text':
    'In der Google-Cloud-Konsole: Schalten Sie die Gmail-API ein, stellen Sie den Zustimmungsbildschirm mit diesen Berechtigungen ein, und legen Sie einen OAuth-Client der Art „Webanwendung“ mit dieser Umleitungs-URI an.',
  'setup.gmail_settings':
    'Kennung und Geheimnis gehören in TWOWAY_GOOGLE_CLIENT_ID und TWOWAY_GOOGLE_CLIENT_SECRET.',
  'setup.outlook_text':
    'Im Entra Admin Center: Registrieren Sie eine Anwendung mit dieser Umleitungs-URI (Plattform „Web“), geben Sie ihr diese delegierten Berechtigungen, und legen Sie ein Client-Geheimnis an.',
  'setup.outlook_settings':
    'Kennung und Geheimnis gehören in TWOWAY_MICROSOFT_CLIENT_ID und TWOWAY_MICROSOFT_CLIENT_SECRET.',
  'setup.logging': 'Ablageadressen',
  'setup.logging_text':
    'Mail an die Domain der Ablageadressen muss dieses Gateway erreichen. Tragen Sie bei Ihrem DNS-Anbieter diesen Eintrag ein; ist der Name nicht der des Rechners, der die Mail annimmt, setzen Sie dessen Namen ein.',
  'setup.no_logging_text':
    'Niemand hat eine Ablageadresse. Nennen Sie in TWOWAY_LOGGING_DOMAIN eine Domain, die für nichts anderes da ist, etwa log.crm.example; dann steht ihr DNS-Eintrag hier.',
  'setup.mx': 'MX-Eintrag',
  'setup.port': 'Port 25 dieses Rechners muss zu TWOWAY_SMTP_PORT des Gateways führen.',
  'setup.identity': 'Anmeldedienst der Administration',
  'setup.identity_text':
    'Ein OpenID-Connect-Dienst, damit die Administration hier keine Passwörter braucht. Tragen Sie dort diese Umleitungs-URI ein, und setzen Sie TWOWAY_OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET und _ADMINISTRATORS.',

  'audit.when': 'Wann',
  'audit.who': 'Wer',
  'audit.what': 'Was',
  'audit.subject': 'Wen oder was',
  'audit.client': 'Von wo',
  'audit.no_client': 'Rechner des Gateways',
  'audit.nobody': 'Niemand angemeldet',
  'audit.everything': 'Alles',
  'audit.everybody': 'Alle',
  'audit.empty': 'Nichts dergleichen ist geschehen.',
  'audit.all': 'Alles zeigen',
  'audit.of_sign_in': 'Anmeldungen',
  'audit.of_password': 'Passwörter',
  'audit.of_second_factor': 'Zweite Faktoren',
  'audit.of_recovery_codes': 'Ersatzcodes',
  'audit.of_sessions': 'Sitzungen',
  'audit.of_administrator': 'Administratoren',
  'audit.of_key': 'Schlüssel',
  'audit.of_settings': 'Einstellungen',
  'audit.of_connection': 'Verbindungen',
  'audit.of_held': 'Zurückgehaltene Mail',
  'audit.of_send': 'Gesendetes',
  'audit.of_webhook': 'Webhooks',
  'audit.of_delivery': 'Zustellungen',
  'audit.sign_in.succeeded': 'Hat sich angemeldet',
  'audit.sign_in.failed': 'Anmeldung versucht und gescheitert',
  'audit.sign_in.refused': 'Über den Anmeldedienst abgewiesen',
  'audit.sign_in.client_paused': 'Zu oft versucht und muss warten',
  'audit.administrator.added': 'Hat jemanden eingeladen',
  'audit.administrator.link_made': 'Hat jemandem einen Link gemacht',
  'audit.administrator.set_up': 'Hat mit einem Link ein Passwort festgelegt',
  'audit.administrator.identity_added': 'Hat sich zum ersten Mal über den Anmeldedienst angemeldet',
  'audit.administrator.removed': 'Hat jemanden entfernt',
  'audit.password.changed': 'Hat das Passwort geändert',
  'audit.second_factor.turned_on': 'Hat den zweiten Faktor eingeschaltet',
  'audit.second_factor.turned_off': 'Hat den zweiten Faktor ausgeschaltet',
  'audit.recovery_codes.renewed': 'Hat neue Ersatzcodes gemacht',
  'audit.sessions.ended': 'Hat andere Sitzungen beendet',
  'audit.key.made': 'Hat einen Schlüssel gemacht',
  'audit.key.revoked': 'Hat einen Schlüssel widerrufen',
  'audit.settings.changed': 'Hat Einstellungen eines Unterkontos geändert',
};

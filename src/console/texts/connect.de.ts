import type { connectEnglish } from './connect.en.ts';

export const connectGerman: Record<keyof typeof connectEnglish, string> = {
  'start.title': 'Ihr Postfach verbinden',
  'start.lead': 'Wählen Sie aus, wo Ihr Postfach liegt. Dort melden Sie sich dann an.',
  'start.lead_one': 'Sie melden sich bei {provider} an; Ihr Passwort kommt nicht hierher.',
  'start.reconnect_title': 'Ihr Postfach neu verbinden',
  'start.reconnect_lead': 'Bitte melden Sie sich noch einmal mit demselben Konto an: {address}.',
  'start.replace_title': 'Ihr Postfach wechseln',
  'start.replace_lead': 'Das Postfach, das Sie jetzt auswählen, tritt an die Stelle von {address}.',
  'start.promise': 'Was dann geschieht',
  'start.promise_contacts':
    'Mail zwischen Ihnen und den Kontakten von {company} erscheint dort, in beiden Richtungen.',
  'start.promise_private': 'Alle andere Mail bleibt privat: Sie wird weder kopiert noch jemandem gezeigt.',
  'start.promise_end': 'Sie können die Verbindung jederzeit trennen.',
  'start.choices': 'Ihr Postfach liegt bei',
  'start.gmail': 'Gmail',
  'start.gmail_hint': 'Gmail und Google Workspace',
  'start.outlook': 'Outlook',
  'start.outlook_hint': 'Outlook.com und Microsoft 365',
  'start.imap': 'Einem anderen Anbieter',
  'start.imap_hint': 'Jeder Anbieter mit IMAP und SMTP, mit Passwort',
  'start.sandbox': 'Sandbox',
  'start.sandbox_hint': 'Ein Übungspostfach auf diesem Rechner, zum Ausprobieren',
  'start.continue': 'Weiter zu {provider}',
  'start.framed':
    'Die Seite Ihres Anbieters öffnet sich in einem eigenen Fenster. Hier geht es weiter, wenn Sie dort fertig sind.',
  'start.framed_reload': 'Wenn Sie im anderen Fenster fertig sind, laden Sie diese Seite neu.',
  'confirm.title': 'Sind Sie das?',
  'confirm.lead':
    'Dieser Browser ist nicht der, in dem das Verbinden begonnen wurde, oder er behält keine Cookies. Ihr Postfach bei {provider} würde so verbunden:',
  'confirm.warning':
    'Wenn Sie das nicht selbst begonnen haben, schließen Sie diese Seite: Jemand könnte es auf Ihre Mail abgesehen haben.',
  'confirm.yes': 'Ja, mein Postfach verbinden',
  'imap.title': 'Einen anderen Anbieter verbinden',
  'imap.lead':
    'Geben Sie Adresse und Passwort ein: Die Einstellungen werden aus der Adresse ermittelt und gezeigt, bevor etwas versucht wird.',
  'imap.lead_found':
    'Noch ist nichts versucht. Mit „Verbinden“ werden beide Server ausprobiert, bevor etwas gespeichert wird.',
  'imap.lead_by_hand':
    'Die Hilfeseiten Ihres Anbieters nennen die Server. Die Anmeldung wird bei beiden ausprobiert, bevor etwas gespeichert wird.',
  'imap.find': 'Einstellungen ermitteln',
  'imap.find_wait': 'Das dauert ein paar Sekunden.',
  'imap.by_hand': 'Ich kenne die Server',
  'imap.servers': 'Server und Ports',
  'imap.password_kept': 'Es wird für diese Seite behalten. Geben Sie nur etwas ein, um es zu ändern.',
  'found.list': 'Einstellungen von {host}, aus unserer Liste von Anbietern.',
  'found.srv': 'Einstellungen, die {domain} selbst veröffentlicht, im DNS.',
  'found.autoconfig': 'Einstellungen, die {domain} selbst für Mailprogramme veröffentlicht: {host}.',
  'found.exchanger':
    'Die Mail von {domain} geht an {host}; dies sind die Einstellungen dort, aus unserer Liste.',
  'found.guess':
    'Für {domain} fanden sich keine Einstellungen. Diese sind geraten: Bitte vergleichen Sie sie mit den Hilfeseiten Ihres Anbieters.',
  'found.none': '{host} lässt andere Programme nicht mit Passwort herein, soweit wir wissen.',
  'hint.app_password':
    '{host} verlangt hier ein App-Passwort. Sie erzeugen es in den Sicherheitseinstellungen Ihres Kontos; Ihr gewöhnliches Passwort wird abgelehnt.',
  'hint.imap_off':
    'Bei {host} müssen Sie IMAP zuerst in den Einstellungen Ihres Postfachs erlauben. Mit Anmeldung in zwei Schritten brauchen Sie außerdem ein App-Passwort.',
  'hint.mail_password':
    '{host} verlangt hier das Passwort für Mailprogramme, das Sie in Ihrem Konto festlegen. Es ist ein anderes als das für die Website.',
  'hint.paid': '{host} erlaubt IMAP nur denen, die für ihr Postfach bezahlen.',
  'hint.bridge':
    'Die Mail von {host} kann nur ein Programm auf Ihrem eigenen Rechner lesen. Hier lässt sie sich nicht verbinden.',
  'hint.no_password': '{host} nimmt von anderen Programmen keine Passwörter an.',
  'leads.title': 'Dieses Postfach liegt bei {host}',
  'leads.lead':
    '{address} liegt bei {host}. Verbunden wird es auf einer Seite von {host}, und Ihr Passwort kommt nicht hierher.',
  'leads.go': 'Weiter zu {host}',
  'leads.stay': 'Trotzdem ein Passwort verwenden',
  'step.name': 'Server gefunden',
  'step.connect': 'Verbunden',
  'step.tls': 'Verschlüsselt',
  'step.greeting': 'Server antwortet',
  'step.login': 'Angemeldet',
  'step.done': 'gelungen',
  'step.failed': 'gescheitert',
  'step.not_reached': 'nicht versucht',
  'imap.address': 'E-Mail-Adresse',
  'imap.password': 'Passwort',
  'imap.password_hint': 'Ein App-Passwort, wo Ihr Anbieter solche hat. Es wird verschlüsselt aufbewahrt.',
  'imap.user': 'Benutzername',
  'imap.user_hint': 'Leer lassen, wenn es die E-Mail-Adresse ist.',
  'imap.incoming': 'Eingehende Mail (IMAP)',
  'imap.outgoing': 'Ausgehende Mail (SMTP)',
  'imap.host': 'Server',
  'imap.port': 'Port',
  'imap.security': 'Verschlüsselung',
  'imap.tls': 'TLS',
  'imap.starttls': 'STARTTLS',
  'imap.none': 'Keine',
  'imap.submit': 'Verbinden',
  'imap.wait': 'Das kann bis zu einer Minute dauern.',
  'imap.other': 'Eine andere Art von Postfach wählen',
  'imap.check': 'Bitte sehen Sie sich diese Felder noch einmal an',
  'field.address': 'Das ist keine E-Mail-Adresse.',
  'field.password': 'Das Passwort fehlt.',
  'field.host': 'Der Name des Servers fehlt oder ist keiner.',
  'field.port': 'Ein Port ist eine Zahl von 1 bis 65535.',
  'field.security': 'Wählen Sie eine der drei Möglichkeiten.',
  'field.user': 'Dieser Benutzername ist zu lang.',
  'problem.title': 'Das Postfach ist noch nicht verbunden',
  'problem.imap_unreachable':
    'Der Server für eingehende Mail (IMAP) gab keine brauchbare Antwort. Prüfen Sie Name, Port und Verschlüsselung.',
  'problem.imap_login_refused':
    'Der Server für eingehende Mail (IMAP) lehnte die Anmeldung ab. Prüfen Sie Benutzername und Passwort; manche Anbieter verlangen ein App-Passwort, oder IMAP muss dort erst eingeschaltet werden.',
  'problem.smtp_unreachable':
    'Die Anmeldung beim Server für eingehende Mail gelang, aber der für ausgehende Mail (SMTP) gab keine brauchbare Antwort. Prüfen Sie Name, Port und Verschlüsselung.',
  'problem.smtp_login_refused':
    'Die Anmeldung beim Server für eingehende Mail gelang, aber der für ausgehende Mail (SMTP) lehnte sie ab.',
  'problem.imap_tls_untrusted':
    'Dem Zertifikat des Servers für eingehende Mail (IMAP) ist nicht zu trauen. Prüfen Sie den Namen des Servers, oder sagen Sie es Ihrer Administration.',
  'problem.smtp_tls_untrusted':
    'Dem Zertifikat des Servers für ausgehende Mail (SMTP) ist nicht zu trauen. Prüfen Sie den Namen des Servers, oder sagen Sie es Ihrer Administration.',
  'problem.imap_tls_failed':
    'Der Server für eingehende Mail (IMAP) spricht an diesem Port nicht diese Art von Verschlüsselung. Üblich sind TLS an 993 und STARTTLS an 143.',
  'problem.smtp_tls_failed':
    'Der Server für ausgehende Mail (SMTP) spricht an diesem Port nicht diese Art von Verschlüsselung. Üblich sind TLS an 465 und STARTTLS an 587.',
  'problem.imap_private_address':
    'Der Server für eingehende Mail (IMAP) liegt in einem privaten Netz, was hier nicht erlaubt ist, oder sein Name ist keiner. Ihre Administration kann es erlauben.',
  'problem.smtp_private_address':
    'Der Server für ausgehende Mail (SMTP) liegt in einem privaten Netz, was hier nicht erlaubt ist, oder sein Name ist keiner. Ihre Administration kann es erlauben.',
  'connected.title': 'Ihr Postfach ist verbunden',
  'connected.text':
    '{address} ist verbunden. Neue Mail mit Kontakten von {company} wird von jetzt an abgeglichen.',
  'connected.next': 'Sie können diese Seite schließen.',
  'connected.next_return': 'Sie kommen gleich zurück zu {host}.',
  'connected.text_plain': 'Neue Mail mit Kontakten von {company} wird von jetzt an abgeglichen.',
  'connected.next_framed': 'Sie können dort weitermachen, wo Sie waren.',
  'ready.title': 'Dieses Postfach verbinden?',
  'ready.lead': 'Sie sind als {address} angemeldet. Noch ist nichts verbunden.',
  'ready.connect': 'Verbinden',
  'ready.decline': 'Jetzt nicht',
  'look.title': 'Was in {company} stünde',
  'look.begins': 'Die letzten 7 Tage werden angesehen. Sie müssen nicht darauf warten.',
  'look.progress': 'Wie viel von den 7 Tagen angesehen ist',
  'look.looking.one':
    'Die letzten 7 Tage werden angesehen: bisher {n} Nachricht. Sie müssen nicht darauf warten.',
  'look.looking.other':
    'Die letzten 7 Tage werden angesehen: bisher {n} Nachrichten. Sie müssen nicht darauf warten.',
  'look.show': 'Die letzten 7 Tage ansehen',
  'look.takes': 'Das dauert bis zu 20 Sekunden. Verbinden können Sie auch ohne das.',
  'look.stored.one': 'Von den letzten 7 Tagen stünde {n} Nachricht',
  'look.stored.other': 'Von den letzten 7 Tagen stünden {n} Nachrichten',
  'look.contacts.one': 'von {n} Kontakt im CRM.',
  'look.contacts.other': 'von {n} Kontakten im CRM.',
  'look.none': 'Von den letzten 7 Tagen stünde keine Nachricht in {company}.',
  'look.left.one': '{n} andere bleibt privat.',
  'look.left.other': '{n} andere bleiben privat.',
  'look.part.one': 'Nur {n} Nachricht wurde angesehen, weil die Zeit um war.',
  'look.part.other': 'Nur {n} Nachrichten wurden angesehen, weil die Zeit um war.',
  'look.more.one': 'und {n} weitere',
  'look.more.other': 'und {n} weitere',
  'look.only':
    'Das war nur ein Blick, allein auf die Kopfzeilen: Nichts davon wird gespeichert. Abgeglichen wird neue Mail, von dem Augenblick an, in dem Sie verbinden.',
  'look.failed': 'Das Postfach konnte gerade nicht angesehen werden. Verbinden können Sie es trotzdem.',
  'look.list': 'Nachrichten, die dort stünden',
  'look.from': 'Von',
  'look.to': 'An',
  'look.somebody': 'jemandem in einer Unterhaltung mit einem Kontakt',
  'look.no_subject': 'Ohne Betreff',
  'leaves.title': '{address} wird verlassen',
  'leaves.stored': 'Was gespeichert ist, bleibt, in jeder Unterhaltung.',
  'leaves.conversations.one':
    '{n} Unterhaltung hat dort ihre Mail: Spätere Nachrichten dazu werden nicht mehr abgeglichen.',
  'leaves.conversations.other':
    '{n} Unterhaltungen haben dort ihre Mail: Spätere Nachrichten dazu werden nicht mehr abgeglichen.',
  'leaves.answers':
    'Was Sie im CRM schreiben, geht aus dem neuen Postfach hinaus und wird von da an abgeglichen.',
  'leaves.sends.one':
    '{n} Nachricht, die dort noch auf das Senden wartet, wird scheitern. Lassen Sie sie erst hinausgehen, oder senden Sie sie noch einmal.',
  'leaves.sends.other':
    '{n} Nachrichten, die dort noch auf das Senden warten, werden scheitern. Lassen Sie sie erst hinausgehen, oder senden Sie sie noch einmal.',
  'declined.title': 'Nichts wurde verbunden',
  'declined.text': '{address} wurde nicht verbunden, und der Zugriff darauf ist zurückgegeben.',
  'declined.next':
    'Sie können diese Seite schließen, oder es mit diesem oder einem anderen Postfach noch einmal versuchen.',
  'login_gone.title': 'Das hat zu lange gedauert',
  'login_gone.text':
    'Zu Ihrer Sicherheit wartet eine Anmeldung eine halbe Stunde auf Ihre Bestätigung. Nichts wurde verbunden.',
  'login_gone.next': 'Melden Sie sich noch einmal an, oder gehen Sie dorthin zurück, wo Sie begonnen haben.',
  'refused.title': 'Sie haben den Zugriff nicht erlaubt',
  'refused.text': 'Nichts wurde verbunden, und nichts wurde geändert.',
  'refused.next':
    'Wenn das ein Versehen war, versuchen Sie es noch einmal und wählen Sie bei {provider} „Zulassen“.',
  'permission_missing.title': 'Eine Berechtigung fehlt',
  'permission_missing.text':
    'Was hier folgt, ist zum Abgleich Ihrer Mail nötig und wurde nicht erlaubt; darum wurde nichts verbunden:',
  'permission_missing.next':
    'Versuchen Sie es noch einmal und setzen Sie auf der Seite von {provider} jedes Häkchen.',
  'permission.https://mail.google.com/': 'Alle Ihre E-Mails lesen, verfassen, senden und endgültig löschen',
  'permission.IMAP.AccessAsUser.All': 'Lese- und Schreibzugriff auf Postfächer über IMAP',
  'permission.SMTP.Send': 'E-Mails aus Postfächern über SMTP AUTH senden',
  'admin_consent_required.title': 'Ihre Administration muss das zuerst erlauben',
  'admin_consent_required.text':
    'Ihre Organisation verlangt, dass jemand aus der Administration diese Anwendung erlaubt, bevor Sie verbinden können. Mit Ihrem Konto ist alles in Ordnung.',
  'admin_consent_required.next':
    'Wenn das erlaubt ist, beginnen Sie noch einmal dort, woher Sie kamen: Diese Seite gilt nur eine halbe Stunde.',
  'admin.section': 'Stand bei Microsoft „Administratorgenehmigung erforderlich“?',
  'admin.section_text': 'Dann muss Ihre Administration diese Anwendung zuerst erlauben.',
  'admin.label': 'Schicken Sie diesen Link Ihrer Administration',
  'admin.hint': 'Klicken Sie in das Feld und kopieren Sie es. Der Link kann 30 Tage lang geöffnet werden.',
  'admin.mail': 'Eine E-Mail mit dem Link schreiben',
  'admin.open': 'Ich bin die Administration: öffnen',
  'admin.mail_subject': 'Bitte eine Anwendung für unsere Postfächer erlauben',
  'admin.mail_body':
    'Guten Tag,\n\num mein Postfach zu verbinden, muss eine Anwendung für unsere Organisation erlaubt werden. Bitte öffnen Sie diesen Link und melden Sie sich mit einem Administratorkonto an:\n\n{url}\n\nVielen Dank',
  'admin_allowed.title': 'Die Anwendung ist erlaubt',
  'admin_allowed.text': 'Die Menschen Ihrer Organisation können jetzt ihre Postfächer verbinden.',
  'admin_allowed.next':
    'Bitte sagen Sie {user}, dass es jetzt noch einmal versucht werden kann. Sind Sie das selbst, gehen Sie zurück zu der Seite, auf der Sie begonnen haben, und versuchen Sie es noch einmal.',
  'admin_allowed.next_anybody':
    'Bitte sagen Sie denen, die Ihnen den Link geschickt haben, dass sie es jetzt noch einmal versuchen können.',
  'admin_refused.title': 'Die Anwendung wurde nicht erlaubt',
  'admin_refused.text':
    'Microsoft hat die Zustimmung nicht angenommen: Sie wurde verweigert, oder das Konto ist kein Administratorkonto.',
  'admin_refused.next': 'Derselbe Link kann noch einmal geöffnet werden.',
  'blocked_by_administrator.title': 'Ihre Organisation verhindert das',
  'blocked_by_administrator.text':
    'Eine Regel Ihrer Organisation hält diese Anwendung, oder diese Art der Anmeldung, von Ihrem Konto fern.',
  'blocked_by_administrator.next':
    'Bitten Sie Ihre Administration, es zu erlauben. Vorher hilft ein neuer Versuch nicht.',
  'wrong_account_type.title': 'Dieses Konto kann hier nicht verwendet werden',
  'wrong_account_type.text':
    'Es gehört zu einer anderen Organisation oder ist von anderer Art, als für diese Anwendung vorgesehen ist.',
  'wrong_account_type.next': 'Versuchen Sie es mit einem anderen Konto, oder fragen Sie Ihre Administration.',
  'address_unverified.title': 'Die Adresse dieses Kontos ist nicht bestätigt',
  'address_unverified.text':
    '{provider} kann nicht dafür bürgen, dass die Adresse zu diesem Konto gehört; darum wurde es nicht verbunden.',
  'address_unverified.next':
    'Bestätigen Sie die Adresse bei {provider}, oder versuchen Sie es mit einem anderen Konto.',
  'wrong_identity.title': 'Das ist ein anderes Konto',
  'wrong_identity.text':
    'Verbunden ist {expected}. Sie haben sich als {given} angemeldet. Nichts wurde geändert.',
  'wrong_identity.next':
    'Versuchen Sie es noch einmal als {expected}. Um das Postfach zu wechseln, wählen Sie dort, woher Sie kamen, dass Sie Ihre E-Mail ändern wollen.',
  'same_address.text':
    'Sie haben sich als {given} angemeldet, mit einem anderen Konto als dem verbundenen derselben Adresse. Nichts wurde geändert.',
  'same_address.next':
    'Versuchen Sie es noch einmal mit dem Konto, das Sie zuvor verbunden hatten. Um zum neuen zu wechseln, wählen Sie dort, woher Sie kamen, dass Sie Ihre E-Mail ändern wollen.',
  'unavailable.title': '{provider} ist nicht zu erreichen',
  'unavailable.text':
    'Es kam keine brauchbare Antwort. Nichts wurde geändert, und mit Ihrem Konto ist alles in Ordnung.',
  'unavailable.next': 'Bitte versuchen Sie es in ein paar Minuten noch einmal.',
  'failed.title': 'Das hat nicht geklappt',
  'failed.text': '{provider} hat die Anmeldung nicht abgeschlossen. Nichts wurde geändert.',
  'failed.next':
    'Bitte versuchen Sie es noch einmal. Geschieht es wieder, nennen Sie Ihrer Administration die Uhrzeit.',
  'operator.title': 'Das ist nicht richtig eingerichtet',
  'operator.text':
    'Die Verbindung zu {provider} ist hier nicht richtig eingerichtet. Sie haben nichts falsch gemacht, und ein neuer Versuch hilft nicht.',
  'operator.next': 'Bitte sagen Sie es Ihrer Administration. Das Log des Gateways sagt mehr.',
  'link_unknown.title': 'Dieser Link führt nirgendwohin',
  'link_unknown.text': 'Er ist unvollständig, oder er war für jemanden, der kein Mitglied mehr ist.',
  'link_unknown.next': 'Gehen Sie dorthin zurück, wo Sie ihn gefunden haben, und beginnen Sie dort neu.',
  'link_expired.title': 'Dieser Link ist abgelaufen',
  'link_expired.text': 'Zu Ihrer Sicherheit gilt er nur eine halbe Stunde.',
  'link_expired.next': 'Gehen Sie dorthin zurück, wo Sie ihn gefunden haben, und beginnen Sie dort neu.',
  'link_used.title': 'Dieser Link wurde schon benutzt',
  'link_used.text': 'Mit ihm wurde bereits ein Postfach verbunden, und er gilt einmal.',
  'link_used.next':
    'Hier ist nichts mehr zu tun. Für eine weitere Änderung beginnen Sie neu, wo Sie ihn gefunden haben.',
  'state_unknown.title': 'Diese Seite wurde nicht auf dem richtigen Weg erreicht',
  'state_unknown.text':
    'Was zurückkam, ist keine Antwort auf etwas, das hier begonnen wurde. Nichts wurde geändert.',
  'state_unknown.next': 'Gehen Sie dorthin zurück, wo Sie angefangen haben, und beginnen Sie dort neu.',
  'state_used.title': 'Diese Seite wurde schon benutzt',
  'state_used.text': 'Die Antwort wurde bereits einmal angenommen, und sie gilt einmal.',
  'state_used.next': 'Gehen Sie dorthin zurück, wo Sie angefangen haben, und sehen Sie, wie es steht.',
  'state_expired.title': 'Das hat zu lange gedauert',
  'state_expired.text': 'Zu Ihrer Sicherheit gilt die Antwort nur eine Stunde. Nichts wurde geändert.',
  'state_expired.next': 'Gehen Sie dorthin zurück, wo Sie angefangen haben, und beginnen Sie dort neu.',
  'too_many_tries.title': 'Zu viele Versuche',
  'too_many_tries.text': 'Dieser Link wurde zu oft versucht.',
  'too_many_tries.next': 'Gehen Sie dorthin zurück, wo Sie ihn gefunden haben, und beginnen Sie dort neu.',
  'not_a_member.title': 'Sie sind kein Mitglied mehr',
  'not_a_member.text': '{user} gehört nicht mehr zu {company}; darum wurde nichts verbunden.',
  'not_a_member.next': 'Bitte fragen Sie Ihre Administration.',
};

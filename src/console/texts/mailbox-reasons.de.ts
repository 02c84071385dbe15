import type { mailboxReasonsEnglish } from './mailbox-reasons.en.ts';

export const mailboxReasonsGerman: Record<keyof typeof mailboxReasonsEnglish, string> = {
  'mine.remedy.connecting': 'Ihr Postfach wird geöffnet. Es ist nichts zu tun.',
  'mine.remedy.catching_up': 'Mail, die inzwischen eintraf, wird gerade angesehen. Es ist nichts zu tun.',
  'mine.remedy.live': 'Alles ist gut. Neue Mail mit Ihren Kontakten erscheint von selbst im CRM.',
  'mine.remedy.degraded':
    'Ihr Mailanbieter ist gerade nicht zu erreichen. Es wird von selbst wieder versucht, und nichts geht inzwischen verloren.',
  'mine.remedy.rate_limited':
    'Ihr Mailanbieter bat um eine Pause. Es geht von selbst weiter, und nichts geht inzwischen verloren.',
  'mine.remedy.reauth_required':
    'Ihr Mailanbieter lässt uns nicht mehr hinein. Bitte verbinden Sie neu; alles, was inzwischen eintraf, wird dann nachgeholt.',
  'mine.remedy.admin_consent_required':
    'Die Administration Ihrer Organisation muss die Anwendung erst erlauben. Ist das geschehen, verbinden Sie neu.',
  'mine.remedy.permission_missing':
    'Etwas, was der Abgleich braucht, wurde nicht erlaubt. Bitte verbinden Sie neu und erlauben Sie alles, worum gebeten wird.',
  'mine.remedy.paused':
    'Ihre Verbindung wurde von der Administration angehalten, die sie auch wieder aufnehmen kann. Was inzwischen eintrifft, wird dann angesehen.',
  'mine.remedy.superseded': 'Ein anderes Postfach trat an seine Stelle.',
  'mine.remedy.disconnected':
    'Nichts Neues wird gelesen. Sie können jederzeit neu verbinden; der Abgleich beginnt dann von da an.',
  'mine.remedy.refuses_connections':
    'Ihr Mailserver nimmt keine Verbindungen an. Es wird von selbst wieder versucht, und nichts geht inzwischen verloren. Hält es an, fragen Sie Ihren Mailanbieter, oder verbinden Sie neu mit dem richtigen Server und Port.',
  'mine.remedy.unreachable':
    'Ihr Mailserver ist nicht zu erreichen. Es wird von selbst wieder versucht, und nichts geht inzwischen verloren. Hält es an, fragen Sie Ihren Mailanbieter, oder verbinden Sie neu mit dem richtigen Server und Port.',
  'mine.remedy.unknown_host':
    'Der Name Ihres Mailservers ist nicht zu finden. Es wird von selbst wieder versucht, und nichts geht inzwischen verloren. Hält es an, verbinden Sie neu mit dem richtigen Server.',
  'mine.remedy.private_address':
    'Ihr Mailserver steht in einem privaten Netz. Ihre Administration kann das erlauben.',
  'mine.remedy.certificate':
    'Dem Zertifikat Ihres Mailservers ist nicht zu trauen. Es wird von selbst wieder versucht, und nichts geht inzwischen verloren. Hält es an, bitten Sie Ihren Mailanbieter, es zu erneuern, oder verbinden Sie neu mit dem richtigen Server.',
  'mine.remedy.web_login':
    'Ihr Mailanbieter möchte, dass Sie sich dort einmal im Browser anmelden. Danach geht es von selbst weiter.',
  'mine.remedy.no_licence':
    'Ihr Mailanbieter öffnet für Ihre Anmeldung kein Postfach. Es wird von selbst wieder versucht, und nichts geht inzwischen verloren. Hält es an, fragen Sie Ihre Administration, ob Ihr Postfach eine Lizenz hat und IMAP dafür eingeschaltet ist.',
  'mine.remedy.too_many_connections':
    'Ihr Mailanbieter erlaubt keine weiteren Verbindungen zu Ihrem Postfach. Es geht von selbst weiter, und nichts geht inzwischen verloren. Hält es an, schließen Sie andere Programme, die Ihre Mail lesen.',
  'mine.remedy.bandwidth':
    'Ihr Postfach hat verbraucht, was Ihr Mailanbieter Programme an einem Tag laden lässt. Es geht von selbst weiter, und nichts geht inzwischen verloren.',
  'mine.remedy.login_refused':
    'Ihr Mailanbieter lehnt die Anmeldung ab. Bitte verbinden Sie neu, mit Ihrem neuen Passwort, falls Sie es geändert haben.',

  'mine.reason.crm_send': 'Die Nachricht wurde aus dem CRM gesendet.',
  'mine.reason.sent_copy': 'Es ist die Kopie, die Ihr Postfach von dem behielt, was das CRM sandte.',
  'mine.reason.duplicate': 'Die Nachricht ist schon gespeichert und wurde noch einmal gesehen.',
  'mine.reason.from_contact': 'Ein Kontakt schrieb die Nachricht.',
  'mine.reason.thread_member': 'Die Nachricht gehört zu einem Verlauf, der abgeglichen wird.',
  'mine.reason.thread_unlinked': 'Die Nachricht gehört zu einem Verlauf, der nicht mehr abgeglichen wird.',
  'mine.reason.no_match':
    'Die Nachricht ist privat: Kein Kontakt steht darauf, und sie gehört zu keinem Verlauf des CRM.',
  'mine.reason.to_contact': 'Sie schrieben die Nachricht an einen Kontakt.',
  'mine.reason.not_assigned': 'Der Kontakt ist jemand anderem zugewiesen, oder in einer anderen Firma.',
  'mine.reason.by_hand': 'Um die Nachricht wurde von Hand gebeten.',
  'mine.reason.claimed_elsewhere':
    'Mail mit diesem Kontakt gehört zu einer anderen Firma, in der Sie arbeiten: Von dort wurde zuerst geantwortet.',
  'mine.reason.feature_off':
    'Ihre Firma hat den Abgleich in beide Richtungen für Outlook ausgeschaltet: Nur Verläufe, die im CRM begannen, werden abgeglichen.',
  'mine.reason.counterpart_is_user': 'Auf der anderen Seite stehen nur Kollegen oder Sie selbst.',
  'mine.reason.delivery_report':
    'Es ist ein Bericht über eine Nachricht, die das CRM sandte, und steht bei dieser.',
  'mine.reason.read_receipt':
    'Es ist die Lesebestätigung einer Nachricht, die das CRM sandte, und steht bei dieser.',
  'mine.reason.automatic':
    'Kein Mensch schrieb die Nachricht: Sie ist automatisch, aus einer Mailingliste oder ein Massenversand.',
  'mine.reason.draft': 'Es ist ein Entwurf.',
  'mine.reason.spam_or_trash': 'Die Nachricht liegt im Spam oder im Papierkorb.',
  'mine.reason.never_log': 'Jemand darauf steht auf einer Liste derer, von denen nie abgelegt wird.',
  'mine.reason.before_connection': 'Die Nachricht ist älter als Ihre Verbindung.',
  'mine.reason.erased': 'Die Nachricht wurde im CRM gelöscht und kommt nicht wieder.',
  'mine.reason.unreadable': 'Die Nachricht ließ sich nicht lesen.',
  'mine.reason.logged': 'Sie sandten die Nachricht an Ihre Ablageadresse.',
  'mine.reason.not_the_user':
    'Die Nachricht kam an Ihrer Ablageadresse an, von einer Adresse, die nicht Ihre ist.',
  'mine.reason.unproven': 'Die Nachricht kam an Ihrer Ablageadresse an, ohne Beweis, dass Sie sie sandten.',
  'mine.reason.too_many_recipients':
    'Die Nachricht kam an Ihrer Ablageadresse an und ging an sehr viele Menschen.',
  'mine.reason.forward_unclear':
    'Die Nachricht wurde an Ihre Ablageadresse weitergeleitet, und es ist nicht klar, wer sie schrieb.',
  'mine.reason.attachment_too_large': 'Die Anhänge sind größer, als es für Ihr Postfach erlaubt ist.',
  'mine.reason.mail_loop':
    'Die Nachricht kam von einer anderen Ablageadresse an Ihrer an oder ging im Kreis.',
  'mine.reason.address_gone': 'Die Ablageadresse, an der die Nachricht ankam, gehört niemandem mehr.',
  'mine.reason.discarded': 'Die Nachricht wartete auf Durchsicht und wurde verworfen.',

  'mine.step.S14': 'Ist es ein Entwurf, oder liegt es im Spam oder im Papierkorb?',
  'mine.step.S12': 'Ist es schon gespeichert?',
  'mine.step.D6': 'Ist es ein Bericht über eine Nachricht, die das CRM sandte?',
  'mine.step.C7': 'Wurde es im CRM schon einmal gelöscht?',
  'mine.step.C8': 'Ist es älter als Ihre Verbindung?',
  'mine.step.S15': 'Steht jemand darauf auf einer Liste derer, von denen nie abgelegt wird?',
  'mine.step.S7': 'Stehen auf der anderen Seite nur Kollegen?',
  'mine.step.by_hand': 'Wurde von Hand darum gebeten?',
  'mine.step.S10': 'Hat Ihre Firma den Abgleich in beide Richtungen für Outlook ausgeschaltet?',
  'mine.step.S4': 'Gehört es zu einem Verlauf, der nicht mehr abgeglichen wird?',
  'mine.step.S3': 'Gehört es zu einem Verlauf, der abgeglichen wird?',
  'mine.step.S11': 'Ist es automatisch, aus einer Mailingliste oder ein Massenversand?',
  'mine.step.S9': 'Gehört Mail mit dem Kontakt zu einer anderen Firma?',
  'mine.step.S8': 'Ist der Kontakt jemand anderem zugewiesen?',
  'mine.step.S2': 'Schrieb es ein Kontakt?',
  'mine.step.S6': 'Schrieben Sie es an einen Kontakt?',
  'mine.step.S5': 'Verlangt keine Regel danach?',
  'mine.step.B6': 'Schrieb es ein Programm, oder geht es im Kreis?',
  'mine.step.B1': 'Gehört die Ablageadresse niemandem mehr?',
  'mine.step.B4': 'Ist es zweifelhaft, ob Sie es sandten?',
  'mine.step.B2': 'Ist es unklar, mit wem es ist?',
  'mine.step.L1': 'Sind die Anhänge größer, als es für Ihr Postfach erlaubt ist?',
};

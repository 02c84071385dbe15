import type { adminEntryEnglish } from './admin-entry.en.ts';

export const adminEntryGerman: Record<keyof typeof adminEntryEnglish, string> = {
  'sign_in.title': 'Bei der Administration anmelden',
  'sign_in.email': 'E-Mail-Adresse',
  'sign_in.password': 'Passwort',
  'sign_in.submit': 'Anmelden',
  'sign_in.by_identity': 'Mit {host} anmelden',
  'sign_in.lost':
    'Passwort oder zweiter Faktor verloren? Jemand anderes aus der Administration kann Ihnen einen neuen Link geben, oder wer den Rechner des Gateways betreibt.',
  'sign_in.wrong': 'Die Adresse oder das Passwort stimmt nicht.',
  'sign_in.paused': 'Das waren zu viele Versuche. Der nächste ist möglich um',
  'sign_in.busy': 'Gerade melden sich zu viele an. Bitte versuchen Sie es noch einmal.',
  'sign_in.again':
    'Diese Seite war zu lange offen, oder Cookies sind gesperrt. Bitte versuchen Sie es noch einmal.',

  'code.title': 'Noch ein Schritt',
  'code.text':
    'Ihr Konto hat einen zweiten Faktor. Öffnen Sie Ihre Authenticator-App und geben Sie den Code ein, den sie zeigt.',
  'code.code': 'Code',
  'code.hint': 'Sechs Ziffern; oder einer Ihrer Ersatzcodes.',
  'code.wrong': 'Dieser Code stimmt nicht oder wurde schon benutzt. Warten Sie auf den nächsten.',

  'identity_denied.title': 'Sie wurden nicht angemeldet',
  'identity_denied.text':
    'Ihr Anmeldedienst wurde gefragt und hat abgelehnt; vielleicht wurde dort abgebrochen.',
  'identity_denied.next':
    'Versuchen Sie es noch einmal, oder melden Sie sich mit Passwort an, wenn Sie hier eines haben.',
  'identity_invalid.title': 'Sie wurden nicht angemeldet',
  'identity_invalid.text':
    'Was Ihr Anmeldedienst geantwortet hat, war nicht für dieses Gateway bestimmt oder wurde schon benutzt.',
  'identity_invalid.next':
    'Versuchen Sie es noch einmal. Geschieht es wieder, ist das Gateway dort anders eingetragen, als es hier eingestellt ist; sein Log sagt mehr.',
  'identity_unreachable.title': 'Der Anmeldedienst ist nicht erreichbar',
  'identity_unreachable.text': 'Er hat keine brauchbare Antwort gegeben.',
  'identity_unreachable.next': 'Versuchen Sie es gleich noch einmal. Das Log des Gateways sagt mehr.',
  'identity_other_browser.title': 'Bitte beginnen Sie noch einmal',
  'identity_other_browser.text':
    'Diese Anmeldung wurde in einem anderen Browser begonnen, war schon fertig oder hat zu lange gedauert; oder Cookies sind gesperrt.',
  'identity_other_browser.next': 'Beginnen Sie hier noch einmal und erlauben Sie Cookies für diese Seite.',
  'identity_unverified.title': 'Ihre Adresse ist nicht bestätigt',
  'identity_unverified.text':
    'Ihr Anmeldedienst nennt keine Adresse, von der er weiß, dass sie Ihnen gehört; so könnte sie jedem gehören.',
  'identity_unverified.next': 'Bestätigen Sie Ihre Adresse dort und versuchen Sie es noch einmal.',
  'identity_not_allowed.title': 'Sie gehören hier nicht zur Administration',
  'identity_not_allowed.text':
    'Sie haben sich angemeldet, aber Ihre Adresse gehört nicht zu denen, die dieses Gateway verwalten.',
  'identity_not_allowed.next': 'Wer das Gateway betreibt, kann sie in TWOWAY_OIDC_ADMINISTRATORS aufnehmen.',
  'identity_other_identity.title': 'Diese Adresse gehört jemand anderem',
  'identity_other_identity.text':
    'Jemand aus der Administration mit Ihrer Adresse hat sich früher mit einem anderen Konto des Anmeldedienstes angemeldet.',
  'identity_other_identity.next':
    'Gehört die Adresse jetzt Ihnen, lassen Sie das frühere Konto hier von jemand anderem aus der Administration entfernen.',
  'identity_paused.title': 'Das waren zu viele Versuche',
  'identity_paused.text': 'Von dort, wo Sie sind, ist die Anmeldung zu oft fehlgeschlagen.',
  'identity_paused.next': 'Versuchen Sie es in einer Viertelstunde noch einmal.',

  'welcome.title': 'Legen Sie Ihr Passwort fest',
  'welcome.text':
    'Für {email}. Andere Passwörter, ein zweiter Faktor und offene Sitzungen dieses Kontos enden damit.',
  'welcome.first': 'Richten Sie die Administration ein',
  'welcome.first_text':
    'Dieser Link gilt einmal. Wählen Sie die Adresse und das Passwort, mit denen Sie sich anmelden werden.',
  'welcome.submit': 'Passwort festlegen und anmelden',
  'welcome_used.title': 'Dieser Link wurde schon benutzt',
  'welcome_used.text': 'Ein Link legt einmal ein Passwort fest.',
  'welcome_used.next': 'Melden Sie sich unter /admin an, oder bitten Sie um einen neuen Link.',
  'welcome_expired.title': 'Dieser Link gilt nicht mehr',
  'welcome_expired.text': 'Ein Link gilt einen Tag lang, und nur, bis ein neuerer gemacht wird.',
  'welcome_expired.next':
    'Bitten Sie jemand anderen aus der Administration um einen neuen, oder wer den Rechner des Gateways betreibt.',
  'email.wrong': 'Das ist keine E-Mail-Adresse.',
  'password.new': 'Neues Passwort',
  'password.hint': 'Mindestens 12 Zeichen. Gut sind ein paar Wörter, die niemand zusammen erraten würde.',
  'password.too_short': 'Das sind weniger als 12 Zeichen.',
  'password.too_long': 'Das sind mehr als 200 Zeichen.',
  'password.is_address': 'Das besteht aus Ihrer Adresse, und die wird zuerst versucht.',
  'password.too_common':
    'Das gehört zu den Passwörtern, die zuerst versucht werden. Wählen Sie eines, das anderen weniger gleicht.',

  'account.password': 'Passwort',
  'account.password_text': 'Wenn Sie es ändern, enden Ihre Sitzungen in anderen Browsern.',
  'account.current': 'Ihr jetziges Passwort',
  'account.change_password': 'Passwort ändern',
  'account.wrong_password': 'Das ist nicht Ihr jetziges Passwort.',
  'account.too_often': 'Das waren zu viele Versuche. Warten Sie einige Minuten.',
  'account.identity': 'Anmeldung',
  'account.identity_text':
    'Sie melden sich beim Anmeldedienst Ihrer Organisation an. Passwort und zweiter Faktor sind dessen Sache.',
  'account.second_factor': 'Zweiter Faktor',
  'account.is_on': 'Eingeschaltet',
  'account.is_off': 'Ausgeschaltet',
  'account.second_factor_text':
    'Ein Code aus einer App auf Ihrem Telefon, zusätzlich zum Passwort. Wer Ihr Passwort erfährt, kann dann nichts damit anfangen.',
  'account.turn_on': 'Einschalten',
  'account.turn_off': 'Ausschalten',
  'account.turn_off_text': 'Danach genügt das Passwort allein. Die Ersatzcodes sind fort.',
  'account.codes.one': 'Sie haben noch einen Ersatzcode.',
  'account.codes.other': 'Sie haben noch {n} Ersatzcodes.',
  'account.no_codes': 'Sie haben keine Ersatzcodes mehr: Machen Sie neue, bevor Sie sie brauchen.',
  'account.new_codes': 'Neue Ersatzcodes machen',
  'account.new_codes_text': 'Die, die Sie haben, gelten dann nicht mehr.',
  'account.sessions': 'Wo Sie angemeldet sind',
  'account.sessions_text':
    'Eine Sitzung endet nach einer Stunde, in der nichts geschieht, und in jedem Fall nach zwölf.',
  'account.since': 'Angemeldet',
  'account.seen': 'Zuletzt benutzt',
  'account.which': 'Welche das ist',
  'account.this_browser': 'Dieser Browser',
  'account.end_others': 'Alle anderen Sitzungen beenden',
  'account.done_password': 'Ihr Passwort ist geändert. Sitzungen in anderen Browsern sind beendet.',
  'account.done_sessions': 'Alle anderen Sitzungen sind beendet.',
  'account.done_off': 'Der zweite Faktor ist ausgeschaltet.',

  'enrol.title': 'Zweiten Faktor einschalten',
  'enrol.scan': 'Lesen Sie dieses Bild mit einer Authenticator-App ein.',
  'enrol.picture': 'QR-Code des Geheimnisses, das darunter als Text steht',
  'enrol.by_hand': 'Oder geben Sie dieses Geheimnis von Hand in die App ein:',
  'enrol.code': 'Code, den die App zeigt',
  'enrol.code_hint': 'Sechs Ziffern.',
  'enrol.wrong':
    'Das ist nicht der Code zu diesem Geheimnis. Sehen Sie nach, ob die Uhr Ihres Telefons richtig geht.',
  'codes.title': 'Ihre Ersatzcodes',
  'codes.text':
    'Der zweite Faktor ist eingeschaltet. Ohne Ihr Telefon lässt jeder dieser Codes Sie einmal ein, anstelle dessen der App. Sie werden nur dieses Mal gezeigt: Bewahren Sie sie auf, wo Sie Wichtiges aufbewahren, und nicht bei Ihrem Passwort.',
  'codes.copy': 'Alle kopieren',
  'codes.kept': 'Ich habe es verwahrt',

  'administrators.ways': 'Meldet sich an mit',
  'administrators.signed_in': 'Zuletzt angemeldet',
  'administrators.since': 'Hinzugefügt',
  'administrators.do': 'Was man tun kann',
  'administrators.oneself': 'Sie',
  'administrators.invited': 'Eingeladen',
  'administrators.by_password': 'Passwort',
  'administrators.by_code': 'zweitem Faktor',
  'administrators.by_identity': 'Anmeldedienst',
  'administrators.invite': 'Jemanden in die Administration einladen',
  'administrators.invite_text':
    'Wer zur Administration gehört, sieht alle Unterkonten mit ihrer Mail und darf hier alles. Das Gateway verschickt keine eigene Mail: Sie bekommen einen Link zum Weitergeben.',
  'administrators.invite_button': 'Link machen',
  'administrators.known': 'Mit dieser Adresse gibt es schon jemanden.',
  'administrators.new_link': 'Neuer Link',
  'administrators.new_link_button': 'Link machen',
  'administrators.new_link_text':
    'Für {email}, wenn Passwort oder zweiter Faktor verloren ist. Bevor der Link benutzt wird, ändert sich nichts; frühere Links enden.',
  'administrators.remove': 'Entfernen',
  'administrators.remove_button': 'Entfernen',
  'administrators.remove_text': '{email} wird sofort abgemeldet und kann sich nicht mehr anmelden.',
  'administrators.remove_oneself':
    'Das ist Ihr eigenes Konto: Sie werden sofort abgemeldet und können sich nicht mehr anmelden.',
  'administrators.last':
    'Niemand wurde entfernt: Es bliebe niemand in der Administration, der sich anmelden kann.',
  'administrators.removed': 'Das Konto ist entfernt.',
  'administrators.link': 'Ein Link zum Weitergeben',
  'administrators.link_text':
    'Mit diesem Link legt {email} ein Passwort fest. Er gilt einmal, einen Tag lang, und wird nur dieses Mal gezeigt. Geben Sie ihn so weiter, dass niemand sonst ihn liest.',
  'administrators.back': 'Zurück zur Administration',
};

import type { findingEnglish } from '../../lib/finding-words.ts';

/** What is found of the installation; the English is lib/finding-words.ts, where `twoway doctor` has it from. */
export const findingGerman: Record<keyof typeof findingEnglish, string> = {
  check_public_address: 'Öffentliche Adresse',
  check_database: 'Datenbank',
  check_secret_keys: 'Schlüssel',
  check_clock: 'Uhr',
  check_blobs: 'Blobs',
  check_google_client: 'Client bei Google',
  check_microsoft_client: 'Client bei Microsoft',
  check_consents: 'Zustimmungen',
  check_disk: 'Platte',
  check_logging_domain: 'Domain der Ablageadressen',
  check_mx_record: 'MX-Eintrag',
  check_mx_host: 'MX-Host',
  check_way: 'Weg der Mail',
  check_smtp_port: 'SMTP-Port',
  check_certificate: 'Zertifikat',
  check_tls_policy: 'TLS-Richtlinie',
  check_spool: 'Spool',

  not_looked: 'danach war nicht zu sehen: {failure}',
  run_as_gateway: 'Führen Sie dies als Benutzer des Gateways aus, mit dessen Einstellungen.',

  as_set: '{value}',
  url_by_default: 'die HTTP-Adresse, da dies kein Produktivbetrieb ist',
  url_not_set: 'TWOWAY_PUBLIC_URL ist nicht gesetzt',
  url_not_https: '{url} ist nicht https',
  set_url:
    'Setzen Sie TWOWAY_PUBLIC_URL auf die https-Adresse, unter der Browser das Gateway erreichen; Google und Microsoft nehmen keine andere an.',

  embedded_in_production: 'sie ist die eingebettete, die keinen Stromausfall übersteht',
  use_postgresql: 'Setzen Sie für den Produktivbetrieb TWOWAY_DATABASE_URL auf PostgreSQL 15 oder neuer.',
  no_data: 'in {folder} ist noch keine',
  start_first:
    'Der erste Start legt sie an. Andernfalls setzen Sie TWOWAY_DATA_DIR oder TWOWAY_DATABASE_URL wie beim Gateway.',
  embedded_ok: 'die eingebettete, von dieser Version',
  embedded_in_use: 'die eingebettete, benutzt vom Gateway (Prozess {pid})',
  database_unusable: 'sie ist nicht zu benutzen: {failure}',
  mend_embedded:
    'Ist sie älter, starten Sie das Gateway einmal; andernfalls sorgen Sie dafür, dass sein Benutzer in TWOWAY_DATA_DIR schreiben darf.',
  mend_postgresql:
    'Ist sie älter, starten Sie das Gateway einmal; andernfalls sehen Sie nach, ob PostgreSQL läuft und TWOWAY_DATABASE_URL stimmt.',

  postgresql_sound:
    'PostgreSQL {version}, auf dem Stand dieser Fassung von Twoway; antwortet in {ms} ms, und {used} von {most} Verbindungen sind belegt',
  postgresql_old: 'PostgreSQL {version} ist zu alt',
  move_postgresql: 'Wechseln Sie zu PostgreSQL 15 oder neuer.',
  encoding_wrong: 'ihre Zeichenkodierung ist {encoding}, in die Mail der meisten Sprachen nicht passt',
  make_utf8:
    "Legen Sie eine Datenbank an mit: create database twoway template template0 encoding 'UTF8'; und bringen Sie die Daten dorthin.",
  collation_changed:
    'die Sortierung des Systems ist eine andere als bei der Anlage der Datenbank, sodass ein Index Text womöglich nicht mehr findet',
  reindex: 'Führen Sie darin aus: reindex database twoway; alter database twoway refresh collation version;',
  connections_few: 'sie erlaubt {most} Verbindungen, und die Knoten dürfen {wanted} öffnen',
  raise_connections:
    'Erhöhen Sie max_connections von PostgreSQL, oder senken Sie TWOWAY_DATABASE_CONNECTIONS auf jedem Knoten.',
  answers_slowly: 'sie braucht {ms} ms für die Antwort auf die kleinste Frage',
  move_nearer:
    'Bringen Sie das Gateway in die Nähe seiner Datenbank: Jede Nachricht wartet auf mehrere Antworten.',
  whose_database: 'Datenbank',
  clock_ok: 'geht richtig, verglichen mit: {whose}',
  clock_ahead: 'dieser Rechner geht {by} s vor, verglichen mit: {whose}',
  clock_behind: 'dieser Rechner geht {by} s nach, verglichen mit: {whose}',
  set_clock:
    'Lassen Sie den Rechner seine Uhr nach dem Netz stellen (systemd-timesyncd, chrony); so auch den der Datenbank.',
  client_ok: '{who} kennt den Client und nimmt sein Geheimnis an',
  client_refused: '{who} lehnt den Client oder sein Geheimnis ab',
  new_google_secret:
    'Sehen Sie in der Google-Cloud-Konsole unter „Anmeldedaten“ nach, ob es TWOWAY_GOOGLE_CLIENT_ID dort gibt, und erzeugen Sie ein neues Geheimnis für TWOWAY_GOOGLE_CLIENT_SECRET.',
  new_microsoft_secret:
    'Sehen Sie im Entra Admin Center unter „App-Registrierungen“ nach, ob es TWOWAY_MICROSOFT_CLIENT_ID dort gibt und das Geheimnis nicht abgelaufen ist; der Wert eines neuen (nicht seine ID) gehört in TWOWAY_MICROSOFT_CLIENT_SECRET.',
  client_single_tenant: 'die Anwendung ist für eine Organisation angelegt und wird für alle benutzt',
  name_tenant:
    'Setzen Sie TWOWAY_OUTLOOK_ENDPOINTS auf ein JSON-Objekt mit „tenant“ und der Mandanten-ID, oder öffnen Sie die Anwendung für alle Organisationen.',
  client_unasked: '{who} konnte nicht gefragt werden, ob der Client dort bekannt ist ({code})',
  reach_host:
    'Sorgen Sie dafür, dass dieser Rechner {host} per https erreicht, und fragen Sie später noch einmal.',
  scopes_missing: 'Postfächer bei {provider}, denen {scopes} fehlt: {count}',
  connect_again:
    'Deren Besitzer müssen neu verbinden und alles erlauben; unter /admin/connections stehen sie zuerst.',
  consents_died:
    'Gmail-Postfächer, deren Zustimmung nach sieben Tagen verfiel, wie die einer Anwendung im Status „Test“: {count}',
  publish_application:
    'Veröffentlichen Sie die Anwendung in der Google-Cloud-Konsole unter „OAuth-Zustimmungsbildschirm“, oder machen Sie sie „Intern“; danach verbinden die Besitzer noch einmal.',
  smtp_auth_off:
    'Outlook-Postfächer, die nicht senden dürfen, weil SMTP AUTH dort abgeschaltet ist (535 5.7.139): {count}',
  allow_smtp_auth:
    'Die Administration der Organisation erlaubt es mit: Set-CASMailbox -Identity ann@company.example -SmtpClientAuthenticationDisabled $false',
  consents_ok: 'Postfächer, die alles haben, was sie brauchen: {count}',
  blobs_ok: 'Mail kann in {folder} geschrieben werden',
  blobs_unwritable: 'in {folder} kann nichts geschrieben werden: {failure}',
  let_write_blobs:
    'Lassen Sie den Benutzer des Gateways dort schreiben; bis dahin kann keine Mail gespeichert oder gesendet werden.',
  bucket_ok: 'der Bucket {bucket} antwortet',
  bucket_unusable: 'der Bucket {bucket} ist nicht benutzbar: {failure}',
  mend_bucket:
    'Sorgen Sie dafür, dass TWOWAY_S3_ENDPOINT, die Region und die Schlüssel stimmen und dort lesen, schreiben, auflisten und löschen dürfen.',

  keys_unknown: 'Geheimnisse, verschlossen mit dem Schlüssel {key}, der nicht eingestellt ist: {count}',
  put_key_back:
    'Tragen Sie diesen Schlüssel wieder in TWOWAY_SECRET_KEYS ein, hinter den anderen. Ist er verloren, müssen diese Postfächer, Anbieter, Webhooks und zweiten Faktoren neu eingerichtet werden.',
  keys_older: 'Geheimnisse, noch verschlossen mit dem älteren Schlüssel {key}: {count}',
  keep_key:
    'Lassen Sie ihn in TWOWAY_SECRET_KEYS. Ein laufendes Gateway verschließt sie innerhalb einer Stunde neu mit dem neuesten.',
  keys_done:
    'der ältere Schlüssel {key} verschließt nichts mehr: Er kann aus TWOWAY_SECRET_KEYS entfernt werden',
  keys_ok: 'Geheimnisse, verschlossen mit dem Schlüssel {key}: {count}',

  disk_free: '{free} sind für TWOWAY_DATA_DIR ({folder}) frei',
  disk_short:
    '{free} sind für TWOWAY_DATA_DIR ({folder}) frei; schon abgelegte Mail kann {most} brauchen, während die Datenbank nicht erreichbar ist',
  make_room: 'Schaffen Sie Platz auf dieser Platte, oder ziehen Sie mit TWOWAY_DATA_DIR auf eine größere um.',

  no_logging_domain: 'es gibt keine: Niemand hat eine Ablageadresse, und keine Mail wird dafür angenommen',
  set_logging_domain:
    'Setzen Sie TWOWAY_LOGGING_DOMAIN auf eine Domain, die für nichts anderes da ist (log.crm.example); README, Abschnitt „The logging address“.',
  sandbox_domain:
    '{domain}, die der Sandbox: DNS sagt nichts von ihr, und nur die Leute der Sandbox können dorthin schreiben',

  spool_abandoned: '{size} angenommener Mail warten in {folder}, das kein Gateway benutzt',
  start_under_name:
    'Starten Sie das Gateway einmal unter dem Hostnamen, nach dem der Ordner heißt, damit es die Mail übergibt. Geben Sie ihm in einem Container einen festen Hostnamen.',
  spool_unwritable: 'in {folder} lässt sich nichts schreiben: {failure}',
  let_write:
    'Lassen Sie den Benutzer des Gateways dort schreiben; bis dahin wird alle Mail an Ablageadressen vertröstet.',
  spool_ok: '{size} in {folder}',
  spool_waits: '{size} in {folder} warten auf die Datenbank',
  see_it_runs:
    'Sehen Sie nach, ob das Gateway läuft und seine Datenbank erreicht: Ab {most} wird Mail vertröstet.',

  dns_silent: 'DNS gab keine Auskunft ({question}): {failure}',
  question_mx: 'die MX-Einträge von {name}',
  question_addresses: 'die Adressen von {name}',
  question_tlsa: 'die TLSA-Einträge von {name}',
  question_mta_sts: 'ob {name} eine MTA-STS-Richtlinie hat',
  ask_again:
    'Sehen Sie noch einmal nach; bleibt es dabei, fragen Sie die Betreiber des DNS-Servers, oder nennen Sie in TWOWAY_DNS_SERVERS einen anderen.',

  mx_implied:
    '{domain} hat keinen MX-Eintrag; Mail geht an die eigene Adresse der Domain, wie RFC 5321 §5.1 es erlaubt',
  add_mx_as_wanted:
    'Tragen Sie bei Ihrem DNS-Anbieter ein: {domain}. MX 10 <Name des Rechners dieses Gateways>. Manche Absender verlangen einen.',
  mx_none: '{domain} hat keinen MX-Eintrag, so dass keine Mail die Ablageadressen erreicht',
  add_mx: 'Tragen Sie bei Ihrem DNS-Anbieter ein: {domain}. MX 10 <Name des Rechners dieses Gateways>.',
  mx_null: 'der MX-Eintrag von {domain} sagt, dass sie keine Mail annimmt (ein Null-MX, RFC 7505)',
  replace_mx: 'Ersetzen Sie ihn: {domain}. MX 10 <Name des Rechners dieses Gateways>.',
  mx_null_beside: '{domain} hat einen Null-MX (RFC 7505) neben anderen ({list})',
  remove_null: 'Entfernen Sie den Eintrag „0 .“; er darf nur allein stehen.',
  mx_ok: '{domain} hat MX {list}',
  host_is_address: 'der MX-Eintrag nennt die Adresse {name}, wo ein Hostname stehen muss',
  name_host:
    'Geben Sie dem Rechner einen Namen mit dieser Adresse in einem A- oder AAAA-Eintrag, und nennen Sie ihn im MX-Eintrag.',
  host_is_alias:
    '{name}, das der MX-Eintrag nennt, ist ein Alias (CNAME) von {target}; ein MX darf keinen nennen (RFC 2181 §10.3)',
  name_target:
    'Lassen Sie den MX-Eintrag {target} selbst nennen, oder geben Sie {name} einen A- oder AAAA-Eintrag anstelle des CNAME.',
  host_without_address: '{name}, das die Mail annehmen soll, hat keine Adresse',
  add_address:
    'Legen Sie einen A- oder AAAA-Eintrag für {name} an, mit der öffentlichen Adresse, an der Port 25 zu diesem Gateway führt.',
  host_hidden: '{name} hat die Adresse {addresses}, die aus dem Internet nicht zu erreichen ist',
  make_public:
    'Setzen Sie die öffentliche Adresse in den A- oder AAAA-Eintrag; innerhalb Ihres Netzes darf es eine andere sein, über einen anderen DNS-Server.',
  host_ok:
    '{name} ist an {addresses}; ob Port 25 dort zu diesem Gateway führt, ist von hier aus nicht zu sehen',

  certificate_none: 'es gibt keins: Mail an die Ablageadressen kommt unverschlüsselt',
  get_certificate:
    'Besorgen Sie ein Zertifikat für den MX-Host, und nennen Sie dessen Dateien in TWOWAY_SMTP_TLS_CERT (mit der Kette) und TWOWAY_SMTP_TLS_KEY.',
  certificate_unreadable: 'es ist nicht zu lesen: {failure}',
  correct_files:
    'Berichtigen Sie TWOWAY_SMTP_TLS_CERT und TWOWAY_SMTP_TLS_KEY, und lassen Sie den Benutzer des Gateways beide Dateien lesen; ohne sie startet es nicht.',
  certificate_ok: 'es ist {names}, und gültig bis {day}',
  key_of_another: 'der Schlüssel gehört zu einem anderen Zertifikat',
  name_pair:
    'Nennen Sie das Zertifikat und den Schlüssel, die zusammen entstanden, in TWOWAY_SMTP_TLS_CERT und TWOWAY_SMTP_TLS_KEY.',
  key_unusable: 'der Schlüssel ist nicht zu benutzen: {failure}',
  name_pair_open:
    'Nennen Sie das Zertifikat und den Schlüssel, die zusammen entstanden, in TWOWAY_SMTP_TLS_CERT und TWOWAY_SMTP_TLS_KEY. Der Schlüssel darf kein Passwort haben.',
  certificate_expired: 'es ist am {day} abgelaufen',
  certificate_expires: 'es läuft am {day} ab',
  renew:
    'Erneuern Sie es (mit certbot: certbot renew), und sorgen Sie dafür, dass die Erneuerung von selbst läuft; das Gateway nimmt die neuen Dateien innerhalb einer Minute.',
  certificate_early: 'es ist erst ab {day} gültig',
  look_at_clock:
    'Sehen Sie nach der Uhr dieses Rechners; geht sie richtig, nehmen Sie bis dahin das vorige Zertifikat.',
  certificate_of_others: 'es ist nicht für {hosts}, das der MX-Eintrag nennt, sondern für {names}',
  get_for_hosts: 'Besorgen Sie eins mit dem Namen {hosts}.',
  get_for_hosts_strictly:
    'Besorgen Sie eins mit dem Namen {hosts}. Die MTA-STS-Richtlinie lässt Absender jedes andere ablehnen.',
  self_signed:
    'es ist selbst unterschrieben: Absender verschlüsseln damit, und die es prüfen, stellen nicht zu',
  get_public: "Besorgen Sie eins von einer öffentlichen Stelle, etwa Let's Encrypt.",
  chain_not_whole:
    'seine Kette ist nicht vollständig: In der Datei fehlt das Zertifikat der Stelle, die es ausstellte',
  name_chain:
    'Nennen Sie in TWOWAY_SMTP_TLS_CERT die Datei mit der ganzen Kette (bei certbot: fullchain.pem), das eigene Zertifikat zuerst.',

  mta_sts_without_tls:
    '_mta-sts.{domain} kündigt eine MTA-STS-Richtlinie an, aber das Gateway bietet kein STARTTLS: Wo sie durchzusetzen ist, stellen Absender nicht zu',
  set_certificate_or_policy:
    'Setzen Sie TWOWAY_SMTP_TLS_CERT und TWOWAY_SMTP_TLS_KEY, oder lassen Sie die Richtlinie „mode: none“ sagen, bis es ein Zertifikat gibt.',
  mta_sts_ok:
    '_mta-sts.{domain} kündigt eine MTA-STS-Richtlinie an; deren Datei muss dieselben MX-Hosts nennen',
  no_policy: 'DNS verlangt von Absendern kein Zertifikat (weder MTA-STS noch DANE)',
  dane_without_tls:
    '{place} hat TLSA-Einträge, aber das Gateway bietet kein STARTTLS: Absender, die DANE kennen, stellen nicht zu',
  set_certificate_or_tlsa:
    'Setzen Sie TWOWAY_SMTP_TLS_CERT und TWOWAY_SMTP_TLS_KEY, oder entfernen Sie die TLSA-Einträge.',
  dane_ok: '{place} hat TLSA-Einträge, und das Zertifikat passt zu einem davon',
  dane_unfit:
    '{place} hat TLSA-Einträge, und keiner passt zum Zertifikat: Absender, die DANE kennen, stellen nicht zu',
  publish_first:
    'Veröffentlichen Sie vor jedem Wechsel der Schlüssel einen Eintrag für den neuen (usage 3, selector 1, SHA-256), oder lassen Sie Erneuerungen den Schlüssel behalten.',

  port_unknown:
    'TWOWAY_SMTP_PORT ist 0: Das Gateway nimmt bei jedem Start einen anderen Port, und nichts kann dorthin führen',
  set_port: 'Setzen Sie TWOWAY_SMTP_PORT, etwa auf 2525.',
  port_silent: 'kein Gateway antwortet an Port {port} von {host} ({cause})',
  start_it: 'Läuft das Gateway? Starten Sie es, und sehen Sie noch einmal nach.',
  port_of_another: 'Port {port} von {host} antwortet „{greeting}“, womit dieses Gateway nicht grüßt',
  end_the_other:
    'Beenden Sie das Programm, das dort lauscht, oder wählen Sie mit TWOWAY_SMTP_PORT einen anderen Port. Ist es das Gateway, versuchen Sie es in einer Minute noch einmal.',
  port_of_other_domain: 'das Gateway an Port {port} von {host} nimmt keine Mail für {domain} an',
  port_without_tls:
    'das Gateway an Port {port} von {host} bietet kein STARTTLS, obwohl es ein Zertifikat gibt',
  start_again:
    'Starten Sie das Gateway mit diesen Einstellungen neu; dieser Befehl muss dieselben haben wie das Gateway.',
  port_with_other_certificate:
    'das Gateway an Port {port} von {host} bietet ein anderes Zertifikat, als in der Datei steht',
  wait_for_renewed:
    'Ein erneuertes nimmt es innerhalb einer Minute. Bleibt es dabei, sagt sein Protokoll, was mit der Datei nicht stimmt.',
  port_ok: 'das Gateway antwortet an Port {port} von {host}',
  port_ok_with_tls: 'das Gateway antwortet an Port {port} von {host} und bietet STARTTLS mit dem Zertifikat',

  way_from_here_alone:
    'das Gateway lauscht an {place}, was nur dieser Rechner erreicht: Was auch immer Mail dorthin weiterreicht, würde für deren Absender gehalten',
  listen_outside:
    'Setzen Sie TWOWAY_SMTP_HOST auf 0.0.0.0 (mit IPv6 auf ::), und leiten Sie Port 25 dorthin; oder nennen Sie in TWOWAY_SMTP_PROXIES einen Lastverteiler auf diesem Rechner, der PROXY-Köpfe sendet.',
  way_direct: 'das Gateway lauscht selbst an {place}',
  way_forwarded:
    'das Gateway lauscht an {place}; eine Portweiterleitung, die die Adressen der Absender erhält, muss Port 25 dorthin führen',
  way_balanced:
    'das Gateway lauscht an {place}; ein Lastverteiler unter {proxies} muss Port 25 mit PROXY-Köpfen dorthin führen',
};

/** What each setting of the gateway means; in English its table says it (config.ts), which the pages are given. */
export const configurationGerman: Readonly<Record<string, string>> = {
  TWOWAY_DATABASE_URL:
    'PostgreSQL 15 oder neuer, postgres://user:password@host:5432/twoway. Leer: die eingebettete Datenbank in TWOWAY_DATA_DIR, zum Ausprobieren oder für einen kleinen Rechner; einen Stromausfall übersteht sie nicht.',
  TWOWAY_DATABASE_CONNECTIONS: 'So viele Verbindungen zu PostgreSQL öffnet dieser Prozess höchstens.',
  TWOWAY_KEEP_FACTS_DAYS:
    'Wie viele Tage lang das aufbewahrt wird, worauf jede Entscheidung beruht, um sie nachzuspielen. Die Entscheidung mit ihrer Regel und ihrem Grund bleibt.',
  TWOWAY_KEEP_DECISIONS_DAYS:
    'Wie viele Tage lang von ausgelassener Mail bekannt bleibt, dass sie kam und warum sie ausgelassen wurde. Entscheidungen über Gespeichertes, Zurückgehaltenes und Gescheitertes bleiben.',
  TWOWAY_KEEP_EVENTS_DAYS:
    'Wie viele Tage lang Ereignisse und ihre Zustellungen aufbewahrt werden, um sie zu lesen, zu erklären und noch einmal zuzustellen. Was noch zuzustellen ist, bleibt.',
  TWOWAY_KEEP_ATTEMPTS_DAYS:
    'Wie viele Tage lang die einzelnen Versuche einer Sendung aufbewahrt werden, vom Aufruf an. Ihr Zustand bleibt.',
  TWOWAY_KEEP_AUDIT_DAYS:
    'Wie viele Tage lang das Protokoll aufbewahrt wird: was die Administration wann und von wo aus tat.',
  TWOWAY_DATA_DIR:
    'Ordner der eingebetteten Datenbank, der Blobs (ganze Nachrichten, Anhänge) und des erzeugten Geheimnisses.',
  TWOWAY_S3_BUCKET:
    'Bucket von S3 für die Blobs, allein für diese Installation, damit mehrere Knoten sie teilen. Leer: ein Ordner in TWOWAY_DATA_DIR.',
  TWOWAY_S3_ENDPOINT: 'Adresse eines S3, das nicht das von Amazon ist, etwa https://s3.storage.example.',
  TWOWAY_S3_REGION: 'Dessen Region.',
  TWOWAY_S3_ACCESS_KEY_ID:
    'Schlüssel dafür. Leer: was das SDK von Amazon selbst findet, etwa die Rolle der Maschine.',
  TWOWAY_S3_SECRET_ACCESS_KEY: 'Dessen Geheimnis.',
  TWOWAY_ROLES:
    'Was dieser Knoten tut, durch Kommas getrennt: api (die API und die Seiten), mailbox (Postfächer beobachten), intake (Mail an Ablageadressen), outbound (senden), webhook (dem CRM Bescheid geben). Alle Knoten zusammen brauchen jede Rolle; weniger als alle brauchen TWOWAY_DATABASE_URL.',
  TWOWAY_SECRET_KEYS:
    'Schlüssel, mit denen gespeicherte Zugangsdaten versiegelt werden: je 32 zufällige Bytes in Base64, durch Kommas getrennt, der neueste zuerst. Leer: Einer wird in TWOWAY_DATA_DIR/secret.key erzeugt; nicht mit TWOWAY_DATABASE_URL, wo jeder Knoten denselben braucht.',
  TWOWAY_FIRST_KEY:
    'API-Schlüssel der Administration für alle Mandanten, den der erste Start annimmt, statt einen zu erzeugen: tw_ und 32 zufällige Bytes in base64url. Wo es einen solchen gibt, wird er nicht beachtet.',
  TWOWAY_FIRST_ADMINISTRATOR:
    'Adresse der Person, der ein Start die Administration der Seiten gibt, solange niemand sie hat. Leer: Er zeigt einen Link.',
  TWOWAY_FIRST_PASSWORD: 'Deren erstes Passwort, zu ändern auf der Seite „Mein Konto“.',
  TWOWAY_PUBLIC_URL:
    'Wo Browser dieses Gateway erreichen; die Umleitungs-URI bei Google und Microsoft ist dies und /connect/callback. Leer: die HTTP-Adresse; localhost, wo diese 0.0.0.0 oder :: ist.',
  TWOWAY_CRM_ORIGINS:
    'Ursprünge (Origins) des CRM, etwa https://crm.example, durch Kommas getrennt: Seine Seiten dürfen die Seite zum Verbinden und die eigenen Seiten einer Person in einem Rahmen zeigen und erfahren, wie das Verbinden endete.',
  TWOWAY_TRACKING_URL:
    'Wo die Empfänger verfolgter Mail dieses Gateway erreichen, etwa https://go.crm.example; die Pfade unter /t/ müssen dort hierher führen. Leer: Keine Mail wird verfolgt.',
  TWOWAY_HTTP_HOST: 'Wo die API und die Seiten erreichbar sind.',
  TWOWAY_HTTP_PORT: 'Deren Port; 0 nimmt einen freien.',
  TWOWAY_HTTP_PROXIES:
    'Adressen und Netze (CIDR) der Proxys vor den Seiten, deren X-Forwarded-For sagt, wer anfragt, durch Kommas getrennt.',
  TWOWAY_OIDC_ISSUER:
    'OpenID-Connect-Dienst, über den sich die Administration anmeldet, etwa https://login.operator.example; die Umleitungs-URI dort ist TWOWAY_PUBLIC_URL und /admin/sign-in/callback. Leer: nur mit Passwort.',
  TWOWAY_OIDC_CLIENT_ID: 'Als was das Gateway dort eingetragen ist.',
  TWOWAY_OIDC_CLIENT_SECRET: 'Dessen Geheimnis.',
  TWOWAY_OIDC_ADMINISTRATORS:
    'Adressen derer, die zur Administration gehören, wenn sie sich dort anmelden, durch Kommas getrennt; jede muss dort bestätigt sein.',
  TWOWAY_SMTP_HOST: 'Wo Mail an Ablageadressen angenommen wird.',
  TWOWAY_SMTP_PORT: 'Der Port dafür; 0 nimmt einen freien.',
  TWOWAY_LOGGING_DOMAIN:
    'Domain der Ablageadressen, etwa log.crm.example, deren MX-Eintrag zum SMTP-Port führt (außen 25). Leer: Keine Mail wird angenommen.',
  TWOWAY_SMTP_TLS_CERT:
    'Pfad einer PEM-Datei mit dem Zertifikat und seiner Kette für STARTTLS; wird neu gelesen, wenn es erneuert wird. Leer: STARTTLS wird nicht angeboten.',
  TWOWAY_SMTP_TLS_KEY: 'Pfad der PEM-Datei mit dessen Schlüssel.',
  TWOWAY_SMTP_PROXIES:
    'Adressen und Netze (CIDR) von Lastverteilern, die jede SMTP-Verbindung mit einem PROXY-Kopf der Version 1 beginnen, durch Kommas getrennt.',
  TWOWAY_DNS_SERVERS:
    'Adressen der DNS-Server, die nach den Absendern abgelegter Mail gefragt werden, jede mit :Port, wo er nicht 53 ist, durch Kommas getrennt. Leer: die des Rechners.',
  TWOWAY_LOG_LEVEL: 'Wie viel protokolliert wird: debug, info, warn oder error.',
  TWOWAY_GOOGLE_CLIENT_ID: 'OAuth-Client der Google-Cloud-Konsole; leer: Gmail wird nicht angeboten.',
  TWOWAY_GOOGLE_CLIENT_SECRET: 'Dessen Geheimnis.',
  TWOWAY_MICROSOFT_CLIENT_ID: 'Anwendung des Entra Admin Center; leer: Outlook wird nicht angeboten.',
  TWOWAY_MICROSOFT_CLIENT_SECRET: 'Deren Geheimnis.',
  TWOWAY_GMAIL_ENDPOINTS: 'JSON, das Teile von Gmail anderswo suchen lässt (Tests, Proxys).',
  TWOWAY_OUTLOOK_ENDPOINTS:
    'Dasselbe für Outlook, etwa {"cloud":"us_gcc_high"} oder {"tenant":"organizations"}.',
  TWOWAY_PROVIDERS:
    'JSON der Grenzen von Anbietern, die von den vorgegebenen abweichen, am besten in einer Datei: TWOWAY_PROVIDERS_FILE. In config/providers.json stehen alle vorgegebenen; was fehlt, bleibt so, und null heißt ohne Grenze. Die Grenze eines einzelnen Postfachs (PUT …/connections/{id}/limits) geht vor.',
  TWOWAY_ALLOW_PRIVATE:
    'Private Netze (CIDR) und Hostnamen, an denen Webhooks und andere Mailserver sein dürfen, durch Kommas getrennt. Leer: nur öffentliche Adressen.',
  TWOWAY_SANDBOX:
    'Der Mailanbieter im Prozess, mit dem sich alles ausprobieren lässt: on oder off. Leer: an, außer wenn NODE_ENV production ist; dort wird er abgelehnt.',
  TWOWAY_SANDBOX_PORT:
    'IMAP-Port der Sandbox; ihr SMTP und ihre Seiten nehmen die beiden danach. 0 nimmt freie.',
};

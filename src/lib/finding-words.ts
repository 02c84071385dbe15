/** Every sentence about the installation in English, by its word: what is looked at, what is found, what to do about it. */
export const findingEnglish = {
  check_public_address: 'public address',
  check_database: 'database',
  check_secret_keys: 'secret keys',
  check_clock: 'clock',
  check_blobs: 'blobs',
  check_google_client: 'Google client',
  check_microsoft_client: 'Microsoft client',
  check_consents: 'consents',
  check_disk: 'disk',
  check_logging_domain: 'logging domain',
  check_mx_record: 'MX record',
  check_mx_host: 'MX host',
  check_way: 'way of the mail',
  check_smtp_port: 'SMTP port',
  check_certificate: 'certificate',
  check_tls_policy: 'TLS policy',
  check_spool: 'spool',

  not_looked: 'this could not be looked at: {failure}',
  run_as_gateway: 'Run this as the user of the gateway, with its settings.',

  as_set: '{value}',
  url_by_default: 'the HTTP address, since this is no production',
  url_not_set: 'TWOWAY_PUBLIC_URL is not set',
  url_not_https: '{url} is not https',
  set_url:
    'Set TWOWAY_PUBLIC_URL to the https address at which browsers reach the gateway; Google and Microsoft accept no other.',

  embedded_in_production: 'it is the embedded one, which does not survive a power cut',
  use_postgresql: 'For production set TWOWAY_DATABASE_URL to PostgreSQL 15 or later.',
  no_data: 'there is none in {folder} yet',
  start_first:
    'The first start makes it. Otherwise set TWOWAY_DATA_DIR or TWOWAY_DATABASE_URL as the gateway has them.',
  embedded_ok: 'the embedded one, of this version',
  embedded_in_use: 'the embedded one, in use by the gateway (process {pid})',
  database_unusable: 'it cannot be used: {failure}',
  mend_embedded:
    'Where it is older, start the gateway once; otherwise see that its user may write in TWOWAY_DATA_DIR.',
  mend_postgresql:
    'Where it is older, start the gateway once; otherwise see that PostgreSQL runs, and that TWOWAY_DATABASE_URL is right.',

  postgresql_sound:
    'PostgreSQL {version}, of this version of Twoway; it answers within {ms} ms, and has {used} of {most} connections in use',
  postgresql_old: 'PostgreSQL {version} is too old',
  move_postgresql: 'Move to PostgreSQL 15 or later.',
  encoding_wrong: 'its encoding is {encoding}, which mail in most languages does not fit into',
  make_utf8:
    "Make a database by: create database twoway template template0 encoding 'UTF8'; and move the data there.",
  collation_changed:
    'the collation of the system has changed since the database was made, so that text may be found no more by an index',
  reindex: 'Run in it: reindex database twoway; alter database twoway refresh collation version;',
  connections_few: 'it allows {most} connections, and the nodes may open {wanted}',
  raise_connections:
    'Raise max_connections of PostgreSQL, or lower TWOWAY_DATABASE_CONNECTIONS on each node.',
  answers_slowly: 'it takes {ms} ms to answer the smallest question',
  move_nearer: 'Put the gateway near its database: each message waits for several answers.',
  whose_database: 'the database',
  clock_ok: 'as {whose} has it',
  clock_ahead: 'this machine is {by} s ahead of {whose}',
  clock_behind: 'this machine is {by} s behind {whose}',
  set_clock:
    'Let the machine set its clock by the network (systemd-timesyncd, chrony); so also that of the database.',
  client_ok: '{who} knows the client and takes its secret',
  client_refused: '{who} refuses the client, or its secret',
  new_google_secret:
    'See in the Google Cloud console, Credentials, whether TWOWAY_GOOGLE_CLIENT_ID is there, and make a new secret for TWOWAY_GOOGLE_CLIENT_SECRET.',
  new_microsoft_secret:
    "See in the Entra admin centre, App registrations, whether TWOWAY_MICROSOFT_CLIENT_ID is there and the secret has not expired; a new one's value (not its id) goes into TWOWAY_MICROSOFT_CLIENT_SECRET.",
  client_single_tenant: 'the application is for one organisation, and is used for all',
  name_tenant:
    'Set TWOWAY_OUTLOOK_ENDPOINTS to a JSON object with "tenant" and the tenant id, or make it one for all organisations.',
  client_unasked: '{who} could not be asked whether it knows the client ({code})',
  reach_host: 'See that this machine reaches {host} by https, and ask again later.',
  scopes_missing: 'mailboxes at {provider} that lack {scopes}: {count}',
  connect_again:
    'Their users must connect again and allow everything; at /admin/connections they stand first.',
  consents_died:
    'Gmail mailboxes of which the consent died when it was seven days old, as those of an application in Testing do: {count}',
  publish_application:
    'In the Google Cloud console, OAuth consent screen, publish the application, or make it Internal; then their users connect once more.',
  smtp_auth_off:
    'Outlook mailboxes that may not send, as SMTP AUTH is switched off there (535 5.7.139): {count}',
  allow_smtp_auth:
    'An administrator of the organisation allows it: Set-CASMailbox -Identity ann@company.example -SmtpClientAuthenticationDisabled $false',
  consents_ok: 'mailboxes that have all that they need: {count}',
  blobs_ok: 'mail can be written in {folder}',
  blobs_unwritable: 'nothing can be written in {folder}: {failure}',
  let_write_blobs: 'Let the user of the gateway write there; until then no mail can be stored or sent.',
  bucket_ok: 'the bucket {bucket} answers',
  bucket_unusable: 'the bucket {bucket} cannot be used: {failure}',
  mend_bucket:
    'See that TWOWAY_S3_ENDPOINT, the region and the keys are right, and that they may read, write, list and delete there.',

  keys_unknown: 'secrets sealed with the key {key}, which is not configured: {count}',
  put_key_back:
    'Put that key back into TWOWAY_SECRET_KEYS, behind the others; where it is lost, these mailboxes, providers, webhooks and second factors must be set up anew.',
  keys_older: 'secrets still sealed with the older key {key}: {count}',
  keep_key:
    'Keep it in TWOWAY_SECRET_KEYS. A gateway that runs seals them anew with the newest one within the hour.',
  keys_done: 'the older key {key} seals nothing any more: it can be taken out of TWOWAY_SECRET_KEYS',
  keys_ok: 'secrets sealed with the key {key}: {count}',

  disk_free: '{free} are free for TWOWAY_DATA_DIR ({folder})',
  disk_short:
    '{free} are free for TWOWAY_DATA_DIR ({folder}); logged mail alone may take {most} while the database is away',
  make_room: 'Make room on that disk, or move TWOWAY_DATA_DIR to a larger one.',

  no_logging_domain: 'there is none: no user has a logging address, and no mail to one is taken',
  set_logging_domain:
    'Set TWOWAY_LOGGING_DOMAIN to a domain of yours that is for nothing else (log.crm.example); README, section "The logging address".',
  sandbox_domain:
    "{domain}, which is the sandbox's: DNS says nothing of it, and only the sandbox's people can write there",

  spool_abandoned: '{size} of accepted mail wait in {folder}, which no gateway uses',
  start_under_name:
    'Start the gateway once under the host name that the folder is named after, so that it hands the mail over. In a container give it a fixed host name.',
  spool_unwritable: 'nothing can be written in {folder}: {failure}',
  let_write: 'Let the user of the gateway write there; until then all mail to logging addresses is put off.',
  spool_ok: '{size} in {folder}',
  spool_waits: '{size} in {folder} wait for the database',
  see_it_runs: 'See that the gateway runs and reaches its database: past {most} mail is put off.',

  dns_silent: 'DNS did not tell {question}: {failure}',
  question_mx: 'the MX records of {name}',
  question_addresses: 'the addresses of {name}',
  question_tlsa: 'the TLSA records of {name}',
  question_mta_sts: 'whether {name} has an MTA-STS policy',
  ask_again:
    'Run this again; where it stays, ask the people of the DNS server, or name another one in TWOWAY_DNS_SERVERS.',

  mx_implied: '{domain} has no MX record; mail goes to its own address, as RFC 5321 §5.1 allows',
  add_mx_as_wanted:
    "At your DNS provider add: {domain}. MX 10 <name of this gateway's host>. Some senders want one.",
  mx_none: '{domain} has no MX record, so that no mail reaches the logging addresses',
  add_mx: "At your DNS provider add: {domain}. MX 10 <name of this gateway's host>.",
  mx_null: 'the MX record of {domain} says that it takes no mail (a null MX, RFC 7505)',
  replace_mx: "Replace it: {domain}. MX 10 <name of this gateway's host>.",
  mx_null_beside: '{domain} has a null MX (RFC 7505) beside others ({list})',
  remove_null: 'Remove the record "0 ."; it may only stand alone.',
  mx_ok: '{domain} has MX {list}',
  host_is_address: 'the MX record names the address {name} where a host name must stand',
  name_host: 'Give the host a name with that address in an A or AAAA record, and name it in the MX record.',
  host_is_alias:
    '{name}, which the MX record names, is an alias (CNAME) of {target}; an MX must not name one (RFC 2181 §10.3)',
  name_target:
    'Let the MX record name {target} itself, or give {name} an A or AAAA record in place of the CNAME.',
  host_without_address: '{name}, which is to take the mail, has no address',
  add_address:
    'Add an A or AAAA record for {name}, with the public address at which port 25 leads to this gateway.',
  host_hidden: '{name} has the address {addresses}, which cannot be reached from the Internet',
  make_public:
    'Put the public address in its A or AAAA record; inside your network it may have another one, by another DNS server.',
  host_ok: '{name} is at {addresses}; whether port 25 there leads to this gateway cannot be seen from here',

  certificate_none: 'there is none: mail to the logging addresses comes in plain text',
  get_certificate:
    'Get a certificate for the MX host and name its files in TWOWAY_SMTP_TLS_CERT (with the chain) and TWOWAY_SMTP_TLS_KEY.',
  certificate_unreadable: 'it cannot be read: {failure}',
  correct_files:
    'Correct TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY, and let the user of the gateway read both files; without them it does not start.',
  certificate_ok: 'it is {names}, and valid until {day}',
  key_of_another: 'the key is that of another certificate',
  name_pair:
    'Name the certificate and the key that were made together, in TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY.',
  key_unusable: 'the key cannot be used: {failure}',
  name_pair_open:
    'Name the certificate and the key that were made together, in TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY. The key must have no password.',
  certificate_expired: 'it has expired on {day}',
  certificate_expires: 'it expires on {day}',
  renew:
    'Renew it (with certbot: certbot renew) and see that the renewal runs by itself; the gateway takes the new files within a minute.',
  certificate_early: 'it is valid only from {day} on',
  look_at_clock:
    "Look at this machine's clock; if that is right, use the certificate from before until then.",
  certificate_of_others: 'it is not for {hosts}, which the MX record names, but for {names}',
  get_for_hosts: 'Get one with the name {hosts}.',
  get_for_hosts_strictly: 'Get one with the name {hosts}. The MTA-STS policy has senders refuse every other.',
  self_signed: 'it is self-signed: senders encrypt with it, and those that check it do not deliver',
  get_public: "Get one of a public authority, such as Let's Encrypt.",
  chain_not_whole: 'its chain is not whole: the file lacks the certificate of the authority that issued it',
  name_chain:
    'Name the file with the whole chain in TWOWAY_SMTP_TLS_CERT (with certbot: fullchain.pem), the own certificate first.',

  mta_sts_without_tls:
    '_mta-sts.{domain} announces an MTA-STS policy, but the gateway offers no STARTTLS: where the policy is to enforce, senders do not deliver',
  set_certificate_or_policy:
    'Set TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY, or let the policy say "mode: none" until there is a certificate.',
  mta_sts_ok: '_mta-sts.{domain} announces an MTA-STS policy; its file must name the same MX hosts',
  no_policy: 'DNS asks senders for no certificate (neither MTA-STS nor DANE)',
  dane_without_tls:
    '{place} has TLSA records, but the gateway offers no STARTTLS: senders that know DANE do not deliver',
  set_certificate_or_tlsa: 'Set TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY, or remove the TLSA records.',
  dane_ok: '{place} has TLSA records, and the certificate fits one of them',
  dane_unfit:
    '{place} has TLSA records, and none fits the certificate: senders that know DANE do not deliver',
  publish_first:
    'Publish a record for the new key (usage 3, selector 1, SHA-256) before each change of keys, or let renewals keep the key.',

  port_unknown:
    'TWOWAY_SMTP_PORT is 0: the gateway takes another port at each start, and nothing can lead there',
  set_port: 'Set TWOWAY_SMTP_PORT, for example to 2525.',
  port_silent: 'no gateway answers at port {port} of {host} ({cause})',
  start_it: 'Is the gateway running? Start it, and run this again.',
  port_of_another: 'port {port} of {host} answers "{greeting}", which is not the greeting of this gateway',
  end_the_other:
    'End the program that listens there, or choose another port by TWOWAY_SMTP_PORT. Where it is the gateway, try again in a minute.',
  port_of_other_domain: 'the gateway at port {port} of {host} does not take mail for {domain}',
  port_without_tls:
    'the gateway at port {port} of {host} does not offer STARTTLS, although there is a certificate',
  start_again: 'Start the gateway again with these settings; this command must have the same as the gateway.',
  port_with_other_certificate:
    'the gateway at port {port} of {host} offers another certificate than the file has',
  wait_for_renewed:
    'It takes a renewed one within a minute. Where this stays, its log says what is wrong with the file.',
  port_ok: 'the gateway answers at port {port} of {host}',
  port_ok_with_tls: 'the gateway answers at port {port} of {host}, and offers STARTTLS with the certificate',

  way_from_here_alone:
    'the gateway listens at {place}, which only this machine reaches: whatever passes mail on to it would be taken for its sender',
  listen_outside:
    'Set TWOWAY_SMTP_HOST to 0.0.0.0 (:: with IPv6) and forward port 25 there; or name a load balancer on this machine that sends PROXY headers in TWOWAY_SMTP_PROXIES.',
  way_direct: 'the gateway listens at {place} itself',
  way_forwarded:
    "the gateway listens at {place}; a port forwarding that keeps the senders' addresses must lead port 25 there",
  way_balanced:
    'the gateway listens at {place}; a load balancer among {proxies} must lead port 25 there, with PROXY headers',
} as const;

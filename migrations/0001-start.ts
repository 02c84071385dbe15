import type { Knex } from 'knex';

/**
 * The whole of the first schema. Conventions: ids are text with the kind as prefix (see
 * src/lib/id.ts), in "C" collation because they are compared and never shown sorted to people;
 * times are timestamptz; every table of a tenant's data carries sub_account_id, so that it can be
 * partitioned or distributed by it later; an address is stored as written and in the canonical
 * form that comparisons use (RULES, Words).
 */
export async function up(knex: Knex): Promise<void> {
  for (const statements of [crmSide, mailboxSide, messageSide, outboundSide, eventSide]) {
    await knex.raw(statements);
  }
  await compressWithLz4(knex);
  // Afterwards: a partition has the compression that its table had when it was made.
  await knex.raw(partitions);
}

const crmSide = `
create table sub_accounts (
  id text collate "C" primary key,              -- the CRM's own id
  name text not null,
  settings jsonb not null default '{}',         -- only what differs from the defaults
  provider jsonb,                               -- the sub-account's own SMTP provider, without its password
  provider_password_sealed text,
  never_log_version bigint not null default 0,  -- raised whenever its never-log list is put (S15)
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table users (
  id text collate "C" primary key,              -- the CRM's own id; one user may belong to several sub-accounts
  name text not null,
  email text not null,                          -- login address as written
  aliases text[] not null default '{}',         -- as written
  never_log_version bigint not null default 0,  -- raised whenever their never-log list is put (S15)
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Every address that counts as a user's: login, aliases and the mailboxes that they connected (S7).
create table user_addresses (
  user_id text collate "C" not null references users on delete cascade,
  kind text not null check (kind in ('login', 'alias', 'mailbox')),
  canonical text collate "C" not null,          -- own form: the +tag is dropped
  primary key (canonical, user_id, kind)
);
create index user_addresses_by_user on user_addresses (user_id);

create table memberships (
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  user_id text collate "C" not null references users on delete cascade,
  created_at timestamptz not null default now(),
  primary key (sub_account_id, user_id)
);
create index memberships_by_user on memberships (user_id);

-- Where a member sends a copy of a mail to have it logged (B1). What is written before the @ is all that
-- counts: the domain is configured for the whole installation.
create table logging_addresses (
  id text collate "C" primary key,
  sub_account_id text collate "C" not null,
  user_id text collate "C" not null,
  local_part text collate "C" not null unique,  -- 80 random bits, in lower case
  created_at timestamptz not null default now(),
  expires_at timestamptz,                       -- it was replaced, and counts until then; null: the one in use
  foreign key (sub_account_id, user_id) references memberships on delete cascade
);
create unique index logging_addresses_in_use on logging_addresses (sub_account_id, user_id) where expires_at is null;
create index logging_addresses_by_member on logging_addresses (sub_account_id, user_id);

create table contacts (
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  id text collate "C" not null,                 -- the CRM's own id, or cct_… until the CRM gives one
  name text not null,
  assigned_user_id text collate "C",            -- null: nobody
  created_by text not null default 'crm' check (created_by in ('crm', 'logging_address')),
  awaits_crm_id boolean not null default false, -- made here; the CRM has not named it by an id of its own yet
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (sub_account_id, id)
);
create index contacts_by_name on contacts (sub_account_id, (lower(name) collate "C"));
create index contacts_awaiting_crm_id on contacts (sub_account_id, id) where awaits_crm_id;

-- Two contacts may share an address: mail of that address then shows with both.
create table contact_addresses (
  sub_account_id text collate "C" not null,
  contact_id text collate "C" not null,
  position integer not null,                    -- 0 is the main address
  address text not null,                        -- as written
  canonical text collate "C" not null,          -- contact's form: the +tag is kept
  primary key (sub_account_id, canonical, contact_id),
  foreign key (sub_account_id, contact_id) references contacts on update cascade on delete cascade
);
create index contact_addresses_by_contact on contact_addresses (sub_account_id, contact_id);

create table never_log (
  sub_account_id text collate "C" references sub_accounts on delete cascade,
  user_id text collate "C" references users on delete cascade,
  pattern text collate "C" not null,            -- canonical address (contact's form), or @domain in lower case and ASCII
  as_written text not null,
  check (num_nonnulls(sub_account_id, user_id) = 1)
);
create unique index never_log_of_sub_account on never_log (sub_account_id, pattern) where sub_account_id is not null;
create unique index never_log_of_user on never_log (user_id, pattern) where user_id is not null;

create table api_keys (
  id text collate "C" primary key,
  hash bytea not null unique,                   -- SHA-256 of the key; the key itself has 256 random bits
  sub_account_id text collate "C" references sub_accounts on delete cascade, -- null: all
  scope text not null check (scope in ('read', 'write')),
  label text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
create index api_keys_by_sub_account on api_keys (sub_account_id);

create table idempotency_keys (
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  key text collate "C" not null,
  request_hash bytea not null,
  status integer not null,
  body jsonb not null,
  message_id text collate "C" generated always as (body #>> '{message,id}') stored, -- what was sent, whose content goes when it is erased
  created_at timestamptz not null default now(),
  primary key (sub_account_id, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
create index idempotency_keys_by_message on idempotency_keys (message_id) where message_id is not null;
`;

const mailboxSide = `
-- One real mailbox at a provider, however many sub-accounts it is connected in (C4).
create table mailboxes (
  id text collate "C" primary key,
  provider text not null check (provider in ('gmail', 'outlook', 'imap', 'sandbox')),
  address text not null,                        -- from the identity token, as written (C2)
  canonical text collate "C" not null,          -- own form
  login text not null,                          -- what XOAUTH2 or LOGIN names; for Microsoft the UPN
  identity_key text collate "C",                -- Google sub, Microsoft tid:oid; null for passwords
  servers jsonb,                                -- imap and smtp host, port, security of a generic mailbox
  -- Whose it is at the provider; by password: that address of that user of that IMAP server. Not the
  -- address alone: whoever names a server of their own could keep an address from its owner.
  account text collate "C" not null generated always as (coalesce(identity_key, lower(
    canonical || ' ' || login || ' ' || coalesce(servers #>> '{imap,host}', '') || ' ' || coalesce(servers #>> '{imap,port}', '')))) stored,
  credential_kind text check (credential_kind in ('oauth', 'password')),
  credential_sealed text,                       -- refresh token or password; null once erased (C7)
  access_token_sealed text,
  access_token_expires_at timestamptz,
  scopes text[] not null default '{}',
  token_version bigint not null default 0,      -- raised by each consent and each rotation
  claims_version bigint not null default 0,     -- raised whenever contacts are claimed for it (S9)
  refresh_lease_owner text,
  refresh_lease_until timestamptz,
  state text not null,                          -- C5, the part that is the mailbox's own
  state_reason text,
  state_since timestamptz not null default now(),
  next_try_at timestamptz,
  caught_up_to timestamptz,                     -- up to here every message has a decision
  backlog integer not null default 0,           -- messages that are known and not yet judged
  limits jsonb not null default '{}',           -- only what differs from those of its provider (L4): see src/provider/providers.ts
  saves_sent_copy boolean,                      -- learned for generic hosts; null: not known yet
  sent_looked_at timestamptz,                   -- when the Sent folder was last looked at, to its end
  node_id text collate "C",                     -- the node whose listener has it; free when that node is gone
  trace_until timestamptz,                      -- its sessions that begin before are written down (wire_traces)
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (provider, account)
);
-- Addresses from which a person has written in their own mail program, as its Sent folder shows: they have shown
-- these to be theirs, and their provider leaves them as they are (D4).
create table sent_as (
  mailbox_id text collate "C" not null references mailboxes on delete cascade,
  canonical text collate "C" not null,          -- own form
  seen_at timestamptz not null default now(),
  primary key (mailbox_id, canonical)
);
create index mailboxes_by_node on mailboxes (node_id) where node_id is not null;

-- One row, which tells this database from every other: see src/store/blob-owner.ts.
create table installation (
  id text collate "C" primary key,
  hash_key_sealed text                          -- the key of all keyed hashes; null before the first start
);
insert into installation (id) values (gen_random_uuid()::text);

-- The nodes that listen to mailboxes. A mailbox is leased to a node for as long as the node is seen:
-- one row to prolong, however many mailboxes.
create table nodes (
  id text collate "C" primary key,              -- stays the same over restarts, so that a node finds its mailboxes again
  instance text not null,                       -- of one start: the newest has the row
  seen_until timestamptz not null,              -- past: it is gone, and others take its mailboxes over
  leaving boolean not null default false        -- it stops: it takes no more, and others have its share already
);

-- What was said on connections with mail servers, while an administrator asks for it; in parts, in the order of n.
create table wire_traces (
  id text collate "C" not null,
  mailbox_id text collate "C" not null references mailboxes on delete cascade,
  protocol text collate "C" not null check (protocol in ('imap', 'smtp')),
  n integer not null,
  at timestamptz not null default now(),
  text text not null,
  primary key (mailbox_id, id, n)
);
create index wire_traces_by_age on wire_traces (at);

create table folders (
  id text collate "C" primary key,
  mailbox_id text collate "C" not null references mailboxes on delete cascade,
  path text not null,
  role text not null check (role in ('all', 'inbox', 'sent', 'archive', 'other', 'spam', 'trash', 'drafts')),
  uid_validity bigint,                          -- null: never looked into
  cursor_uid bigint not null default 0,         -- every message with a UID up to here has a decision, or was there at the start
  highest_modseq numeric(20),
  missing_since timestamptz,                    -- not listed any more; nothing is deleted for it
  looked_at timestamptz,
  left_at timestamptz                           -- the mailbox moved to another host; kept for what was seen in it
);
create unique index folders_by_path on folders (mailbox_id, path) where left_at is null;
create index folders_by_mailbox on folders (mailbox_id);

-- A user's link, in one sub-account, to a mailbox.
create table connections (
  id text collate "C" primary key,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  user_id text collate "C" not null references users on delete cascade,
  mailbox_id text collate "C" references mailboxes, -- null while an administrator's consent or a permission is missing
  provider text not null,
  state text not null,                          -- C5, as last announced to the CRM
  state_reason text,
  state_since timestamptz not null default now(),
  next_try_at timestamptz,
  started_at timestamptz not null default now(),-- the sync starts from here (C8)
  paused_from timestamptz,                      -- while it is paused: what was received before has its decision
  ended_at timestamptz,
  created_at timestamptz not null default now(),
  -- Lists for people begin with what needs one: the highest first.
  urgency smallint not null generated always as (case
    when state in ('reauth_required', 'admin_consent_required', 'permission_missing') then 5
    when state in ('degraded', 'rate_limited') then 4 when state = 'paused' then 3
    when state in ('connecting', 'catching_up') then 2 when state in ('superseded', 'disconnected') then 0
    else 1 end) stored
);
create index connections_by_urgency on connections (urgency, id);
create unique index connections_one_active on connections (sub_account_id, user_id) where ended_at is null;
create index connections_by_member on connections (sub_account_id, user_id);
create index connections_by_user on connections (user_id);
create index connections_by_mailbox on connections (mailbox_id) where ended_at is null;
create index connections_by_state on connections (state, id);
create index connections_by_sub_account on connections (sub_account_id, id);

-- What happened to a connection: its states, and the sessions and tokens of its mailbox. For people to read, and
-- nothing is decided by it: the newest of each are kept (see src/store/connection-log.ts).
create table connection_log (
  n bigint generated always as identity primary key,
  connection_id text collate "C" references connections on delete cascade,
  mailbox_id text collate "C" references mailboxes on delete cascade,
  kind text not null check (kind in ('state', 'session', 'token')),
  state text,                                   -- of a connection, from then on
  reason text,                                  -- cause of the state, or what the session ended by
  times integer not null default 1,             -- sessions in a row that came to nothing for the same cause
  at timestamptz not null default now(),        -- when it began, or happened
  logged_in_at timestamptz,                     -- when the provider took the login of a session; null: it did not
  ended_at timestamptz,                         -- of a session; null: it goes on, or its process ended without a word
  check ((kind = 'state') = (connection_id is not null) and (kind = 'state') = (mailbox_id is null)),
  check ((kind = 'state') = (state is not null))
);
create index connection_log_by_connection on connection_log (connection_id, n) where connection_id is not null;
create index connection_log_by_mailbox on connection_log (mailbox_id, n) where mailbox_id is not null;

-- Grants that nothing uses any more, to be ended at their providers (C7); gone when that is done.
create table revocations (
  id text collate "C" primary key,
  provider text not null,
  identity_key text collate "C" not null,       -- a grant of the same account that is in use must not be ended
  token_sealed text not null,
  sealed_for text not null,                     -- what the seal is bound to: the mailbox that had it, or this row
  -- the columns of every table of work (see src/store/work.ts); no order to keep
  ready boolean not null default true,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_owner text,
  lease_until timestamptz,
  seq bigint generated always as identity,
  created_at timestamptz not null default now()
);
create index revocations_due on revocations (due_at, seq) where ready;

-- What is to be done in a mailbox besides listening to it, by whichever node has the time. None of it moves
-- a folder's cursor, and a repeat finds what was done: it may end anywhere and begin anew.
create table errands (
  id text collate "C" primary key,              -- bkf_… for a backfill, aud_… for an audit, else err_…
  kind text not null check (kind in ('backfill', 'audit', 'judge_again', 'thread_head', 'resume')),
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  connection_id text collate "C" not null references connections on delete cascade,
  mailbox_id text collate "C" not null references mailboxes,
  request jsonb not null,                       -- what was asked for, by its kind
  progress jsonb not null default '{}',         -- how far it came, and what it counted
  state text not null default 'queued' check (state in ('queued', 'running', 'waiting', 'finished', 'failed', 'cancelled')),
  state_reason text,                            -- what it waits for, or why it failed
  ended_at timestamptz,
  -- the columns of every table of work (see src/store/work.ts); one at a time for a mailbox
  ready boolean not null default true,
  attempts integer not null default 0,          -- since it last came on
  due_at timestamptz not null default now(),
  lease_owner text,
  lease_until timestamptz,
  seq bigint generated always as identity,
  created_at timestamptz not null default now()
);
create index errands_due on errands (due_at, seq) where ready;
create index errands_leased on errands (mailbox_id) where lease_until is not null;
create index errands_by_connection on errands (connection_id, kind, created_at);
create index errands_ended on errands (ended_at) where ended_at is not null;
create index errands_by_mailbox on errands (mailbox_id);
create index errands_by_sub_account on errands (sub_account_id);
create index errands_of_message on errands ((request ->> 'messageId')) where kind = 'thread_head';

-- What errands have downloaded from a mailbox on a day in UTC (C8).
create table downloads (
  mailbox_id text collate "C" not null references mailboxes on delete cascade,
  day date not null,
  bytes bigint not null,
  primary key (mailbox_id, day)
);

create table claims (
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  contact_canonical text collate "C" not null,
  mailbox_id text collate "C" not null references mailboxes,
  claimed_at timestamptz not null default now(),
  primary key (mailbox_id, contact_canonical)   -- one claimer (S9)
);
create index claims_by_sub_account on claims (sub_account_id);

-- One-use links to the hosted connect page.
create table connect_links (
  id text collate "C" primary key,
  token_hash bytea not null unique,             -- SHA-256 of the token in the URL, which has 256 random bits
  sub_account_id text collate "C" not null,
  user_id text collate "C" not null,
  provider text,                                -- null: the person chooses
  return_url text,
  replace boolean not null default false,       -- update e-mail (C6)
  tries integer not null default 0,             -- consents and logins that were begun on it
  expires_at timestamptz not null,
  used_at timestamptz,                          -- when it led to a connection; it leads to no second one
  created_at timestamptz not null default now(),
  foreign key (sub_account_id, user_id) references memberships on delete cascade
);
create index connect_links_by_age on connect_links (expires_at);
create index connect_links_by_member on connect_links (sub_account_id, user_id);

-- A consent that was begun on the page: each tab has its own. The id is in the signed state.
create table consents (
  id text collate "C" primary key,
  link_id text collate "C" not null references connect_links on delete cascade,
  provider text not null,
  browser_hash bytea not null,                  -- SHA-256 of the cookie of the browser that began it
  secrets_sealed text,                          -- link token, PKCE verifier, nonce; erased when it is redeemed
  created_at timestamptz not null default now(),
  redeemed_at timestamptz                       -- a state works once
);
create index consents_by_link on consents (link_id);

-- A login that was proven on the page, by a consent or a password, until the person confirms that the mailbox is to be
-- connected. It refers to no link: where that goes with a membership, the grant must be revoked all the same.
create table proven_logins (
  id text collate "C" primary key,
  token_hash bytea not null unique,             -- SHA-256 of the token in the URL of its page, which has 256 random bits
  link_id text collate "C" not null,
  mailbox jsonb not null,                       -- what the login says of its mailbox: see src/store/proven-mailboxes.ts
  ends jsonb not null default '[]',             -- where its folders ended then: see src/store/folders.ts
  credential_sealed text,                       -- refresh token or password; null once it is settled
  access_token_sealed text,
  access_token_expires_at timestamptz,
  looks integer not null default 0,             -- dry runs that were begun
  outcome text check (outcome in ('connected', 'declined')), -- null: the person has not said yet
  expires_at timestamptz not null,              -- then it goes, and the grant with it
  check ((outcome is null) = (credential_sealed is not null))
);
create index proven_logins_by_age on proven_logins (expires_at);
create index proven_logins_by_account on proven_logins ((mailbox ->> 'identityKey')) where outcome is null;

-- One-use links to a person's own pages; each opens one session.
create table mailbox_links (
  id text collate "C" primary key,
  token_hash bytea not null unique,             -- SHA-256 of the token in the URL, which has 256 random bits
  sub_account_id text collate "C" not null,
  user_id text collate "C" not null,
  return_url text,
  expires_at timestamptz not null,
  used_at timestamptz,
  created_at timestamptz not null default now(),
  foreign key (sub_account_id, user_id) references memberships on delete cascade
);
create index mailbox_links_by_age on mailbox_links (expires_at);
create index mailbox_links_by_member on mailbox_links (sub_account_id, user_id);

-- People who run this gateway. Who signs in by OpenID Connect has a subject and perhaps no password; who was
-- invited and has not set a password yet has neither.
create table administrators (
  id text collate "C" primary key,
  email text not null,
  canonical text collate "C" not null unique,
  password_hash text,                           -- argon2id, with its parameters
  totp_secret_sealed text,                      -- null: no second factor
  totp_step bigint not null default 0,          -- the step of the last code that was taken: none works twice
  subject text collate "C" unique,              -- issuer and sub of the identity token
  created_at timestamptz not null default now(),
  signed_in_at timestamptz
);

-- What an administrator has in place of the second factor when that is lost: each works once, and is gone then.
create table recovery_codes (
  administrator_id text collate "C" not null references administrators on delete cascade,
  hash bytea not null,
  primary key (administrator_id, hash)
);

-- Links that let an administrator set a password, once; without an administrator: lets the first one in.
create table administrator_links (
  token_hash bytea primary key,                 -- SHA-256 of the token, which has 256 random bits
  administrator_id text collate "C" references administrators on delete cascade,
  expires_at timestamptz not null,
  used_at timestamptz
);
create index administrator_links_by_administrator on administrator_links (administrator_id);
create index administrator_links_by_age on administrator_links (expires_at);

-- Tries to sign in that have not succeeded, of an account or a client; more of them wait for paused_until.
create table sign_in_tries (
  whose bytea primary key,                      -- a keyed hash: people type passwords where an address should be
  tries integer not null,
  last_at timestamptz not null default now(),
  paused_until timestamptz not null
);
create index sign_in_tries_by_age on sign_in_tries (last_at);

-- What administrators did, what was done to their accounts, and what keys did to keys, webhooks and traces. Stays when the
-- administrator, or the key, is gone.
create table audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  administrator_id text collate "C",            -- null: nobody who is signed in, such as the gateway itself
  email text,                                   -- of that administrator, then
  key_id text collate "C",                      -- null: it was not asked for by the API
  action text collate "C" not null,             -- key.made, settings.changed, …
  noun text collate "C" not null generated always as (split_part(action, '.', 1)) stored,
  subject text,                                 -- the id, or address, of what it was done to
  details jsonb not null default '{}',
  client text                                   -- address that it was asked from; null: on the gateway's machine
);
create index audit_by_administrator on audit (administrator_id, id);
create index audit_by_noun on audit (noun, id);

-- Who is signed in to the pages: an administrator, or a person to their own mailbox.
create table console_sessions (
  id text collate "C" primary key,
  token_hash bytea not null unique,             -- SHA-256 of the cookie, which has 256 random bits
  administrator_id text collate "C" references administrators on delete cascade,
  sub_account_id text collate "C",
  user_id text collate "C",
  return_url text,                              -- the way back to the CRM
  client text,                                  -- address that an administrator signed in from
  created_at timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  expires_at timestamptz not null,              -- however much is done in it
  foreign key (sub_account_id, user_id) references memberships on delete cascade,
  check ((administrator_id is null) = (user_id is not null) and (sub_account_id is null) = (user_id is null))
);
create index console_sessions_by_age on console_sessions (expires_at);
create index console_sessions_by_member on console_sessions (sub_account_id, user_id);
create index console_sessions_by_administrator on console_sessions (administrator_id);
`;

const messageSide = `
create table conversations (
  id text collate "C" primary key,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  contact_id text collate "C" not null,
  last_message_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz(3) not null default now(), -- no finer than it is shown: pages of the list go by it
  unique (sub_account_id, contact_id),
  foreign key (sub_account_id, contact_id) references contacts on update cascade on delete cascade
);
create index conversations_by_update on conversations (sub_account_id, updated_at, id);
-- For who runs the gateway and looks at all of them.
create index conversations_by_time on conversations (updated_at, id);

create table threads (
  id text collate "C" primary key,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  subject text not null,                        -- base subject of the message that opened it
  opened_by text not null,                      -- crm_send, from_contact, to_contact, …
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index threads_by_sub_account on threads (sub_account_id);

-- In which mailbox a thread lives. One message may reach two mailboxes of one sub-account: the
-- thread is one, and each mailbox has its own link to it, which is live or unlinked by itself.
create table thread_links (
  thread_id text collate "C" not null references threads on delete cascade,
  mailbox_id text collate "C" not null references mailboxes,
  sub_account_id text collate "C" not null,
  state text not null check (state in ('live', 'unlinked')),
  reason text,                                  -- why it was unlinked
  since timestamptz not null default now(),
  primary key (thread_id, mailbox_id)
);
create index thread_links_live on thread_links (mailbox_id, sub_account_id) where state = 'live';

-- By what a message belongs to a thread (S3): bare Message-IDs, also ones that are only
-- referenced; 'gm:<mailbox>:<X-GM-THRID>'; 'ti:<root of Thread-Index>'.
create table thread_keys (
  sub_account_id text collate "C" not null,
  key text collate "C" not null,
  thread_id text collate "C" not null references threads on delete cascade,
  kind text not null check (kind in ('message', 'referenced', 'gmail', 'thread_index')),
  primary key (sub_account_id, key, thread_id)
);
create index thread_keys_by_thread on thread_keys (thread_id);

create table thread_participants (
  thread_id text collate "C" not null references threads on delete cascade,
  canonical text collate "C" not null,
  primary key (thread_id, canonical)
);
create index thread_participants_by_address on thread_participants (canonical);
create index thread_participants_by_domain on thread_participants (split_part(canonical, '@', -1));

create table messages (
  id text collate "C" primary key,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  thread_id text collate "C" not null references threads,
  direction text not null check (direction in ('inbound', 'outbound')),
  kind text not null default 'individual' check (kind in ('individual', 'bulk', 'workflow')),
  via text[] not null,                          -- crm, mailbox, logging_address: all that apply
  user_id text collate "C",                     -- who sent it from the CRM, or whose mailbox it was first seen in
  sender jsonb not null,                        -- { name, address }
  recipients_to jsonb not null,
  recipients_cc jsonb not null,
  recipients_bcc jsonb not null,                -- only what the CRM itself asked for
  subject text not null,
  date timestamptz not null,                    -- the Date field; the provider's time where that is unreadable
  received_at timestamptz not null,             -- INTERNALDATE, or when the CRM handed it over
  internet_message_id text,                     -- as the mailbox knows it now, without brackets
  in_reply_to text[] not null default '{}',
  reference_ids text[] not null default '{}',
  answers text collate "C" references messages on delete set null, -- of its thread: see src/store/answers.ts
  body_text text not null default '',
  body_html text,                               -- sanitised
  reply_text text not null default '',
  automatic text,                               -- auto_reply, delivery_report, read_receipt, list, bulk; null: a person's
  partial text,                                 -- why the body is not whole, null when it is
  is_read boolean not null default false,
  mailbox_state text not null default 'present' check (mailbox_state in ('present', 'archived', 'trashed', 'gone')),
  omitted text,                                 -- why only its header is stored; null: all of it is (L1)
  raw_sha256 text,                              -- null: it is not whole, or one of its attachments is left out
  raw_size bigint not null default 0,
  logging_tags text[] not null default '{}',    -- behind the + of the logging addresses that it came to (B1)
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index messages_by_thread on messages (thread_id, date, id);
create index messages_by_sub_account on messages (sub_account_id, id);
create index messages_by_user on messages (sub_account_id, user_id, thread_id);
create index messages_of_user on messages (sub_account_id, user_id, id);
create index messages_by_raw on messages (raw_sha256);
create index messages_by_answers on messages (answers, received_at, id) where answers is not null;
create index messages_with_bcc on messages (sub_account_id, thread_id) where recipients_bcc <> '[]';

-- Every name that a message is known by, with its fingerprint: the Message-ID that it was given,
-- rewritten ones, 'gm:<mailbox>:<X-GM-MSGID>', 'none:' where it has none. The index is what makes
-- a second sighting harmless (S12).
create table message_keys (
  sub_account_id text collate "C" not null,
  key text collate "C" not null,
  fingerprint text collate "C" not null,
  message_id text collate "C" not null references messages on delete cascade,
  primary key (sub_account_id, key, fingerprint)
);
create index message_keys_by_message on message_keys (message_id);

-- Where a stored message was seen.
create table sightings (
  sub_account_id text collate "C" not null,
  folder_id text collate "C" not null references folders on delete cascade,
  uid_validity bigint not null,
  uid bigint not null,
  message_id text collate "C" not null references messages on delete cascade,
  mailbox_id text collate "C" not null references mailboxes,
  is_read boolean not null,                     -- \\Seen there, as last looked at
  -- What that place says of the message, as last looked at; once it has left, where it was found instead (U3).
  state text not null check (state in ('present', 'archived', 'trashed', 'gone')),
  seen_at timestamptz not null default now(),
  gone_at timestamptz,                          -- no longer in that place
  gone_due_at timestamptz,                      -- a move looks like this too: when to say what became of it; null: it is said
  primary key (folder_id, uid_validity, uid, sub_account_id),
  check (gone_at is not null or (gone_due_at is null and state <> 'gone'))
);
create index sightings_by_message on sightings (message_id);
create index sightings_gone_due on sightings (mailbox_id, gone_due_at) where gone_due_at is not null;

-- What the CRM has asked for in a mailbox and is still to be done there (U2, U3): one row for a message and
-- a mailbox, the newest wish in it; gone when it is done, or given up.
create table wanted_changes (
  id text collate "C" primary key,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  message_id text collate "C" not null references messages on delete cascade,
  mailbox_id text collate "C" not null references mailboxes,
  is_read boolean,                              -- null: not asked for
  state text check (state in ('archived', 'trashed')), -- null: not asked for
  version integer not null default 1,           -- raised by each wish: what was done may not be the newest
  wished_at timestamptz not null default now(), -- the newest one
  -- the columns of every table of work (see src/store/work.ts); no order to keep
  ready boolean not null default true,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_owner text,
  lease_until timestamptz,
  seq bigint generated always as identity,
  created_at timestamptz not null default now(),
  unique (message_id, mailbox_id),
  check (num_nonnulls(is_read, state) > 0)
);
create index wanted_changes_due on wanted_changes (mailbox_id, due_at, seq) where ready;
create index wanted_changes_by_sub_account on wanted_changes (sub_account_id, mailbox_id);

-- What came to logging addresses and was accepted (B5): a row for each address that it came to. It stays for a
-- while when all is done, so that what a crash hands over twice is known again.
create table intake_spool (
  id text collate "C" primary key,
  accepted_id text collate "C" not null,        -- of the mail as it was accepted, whoever it came to
  logging_address_id text collate "C" not null,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  user_id text collate "C" not null,
  tags text[] not null,                         -- behind the + of the address, which may be named more than once
  envelope jsonb not null,                      -- what the SMTP session said: see src/store/spool.ts
  proof jsonb not null,                         -- what the sending domain proves of From (B4)
  received_at timestamptz not null,
  raw_sha256 text not null,
  raw_size bigint not null,
  state text not null default 'waiting' check (state in ('waiting', 'filed', 'held', 'discarded', 'failed')),
  state_since timestamptz not null default now(),
  decision_id text collate "C",                 -- the newest one; null while it waits for the first
  read jsonb,                                   -- what whoever reviews it is shown; only of one that is or was held
  released_at timestamptz,                      -- a person has said that it is to be logged
  author jsonb,                                 -- who wrote what was forwarded, as that person says, until it is filed
  -- the columns of every table of work (see src/store/work.ts); no order to keep
  ready boolean not null default true,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_owner text,
  lease_until timestamptz,
  seq bigint generated always as identity,
  created_at timestamptz not null default now(),
  unique (accepted_id, logging_address_id)
);
create index intake_spool_due on intake_spool (due_at, seq) where ready;
create index intake_spool_held on intake_spool (sub_account_id, id) where state = 'held';
create index intake_spool_held_anywhere on intake_spool (id) where state = 'held';
create index intake_spool_by_member on intake_spool (sub_account_id, user_id, decision_id);
create index intake_spool_by_raw on intake_spool (raw_sha256);
create index intake_spool_done on intake_spool (state_since) where not ready;

create table attachments (
  sub_account_id text collate "C" not null,
  message_id text collate "C" not null references messages on delete cascade,
  n integer not null,                           -- 1, 2, … in the order of the message
  name text not null,
  type text not null,
  size bigint not null,                         -- decoded bytes
  content_id text,
  inline boolean not null default false,
  sha256 text,                                  -- null: omitted
  omitted text,                                 -- why there is no content
  primary key (message_id, n)
);
create index attachments_by_blob on attachments (sha256);

-- A thread shows, whole, in the conversation of each contact on it.
create table conversation_threads (
  conversation_id text collate "C" not null references conversations on delete cascade,
  thread_id text collate "C" not null references threads on delete cascade,
  primary key (conversation_id, thread_id)
);
create index conversation_threads_by_thread on conversation_threads (thread_id);

-- By what an erased message would be known again (C7), so that no later sync stores it: keyed hashes alone
-- (see src/filing/hashes.ts), several for each message.
create table tombstones (
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  hash bytea not null check (octet_length(hash) = 16),
  message_id text collate "C" not null,         -- what it was called here
  erased_at timestamptz not null default now(),
  primary key (sub_account_id, hash)
);
create index tombstones_by_message on tombstones (message_id);

-- What the rules said of one sighting for one sub-account. A skipped message leaves no content
-- here: keyed hashes, the place, the time and the reason (T1).
create table decisions (
  id text collate "C" not null,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  connection_id text collate "C",
  mailbox_id text collate "C",
  folder_id text collate "C",
  uid_validity bigint,
  uid bigint,
  outcome text not null check (outcome in ('stored', 'skipped', 'held', 'failed')),
  reason text not null,                         -- identifier of RULES.md
  reasons jsonb not null,                       -- every step: [{ rule, because: { say, … } or null }], without content
  facts jsonb,                                  -- what the rules looked at, hashed; kept for a set time (T4)
  id_hash bytea,                                -- keyed hash of the Message-ID
  address_hashes bytea[] not null default '{}', -- keyed hashes of the outside addresses
  message_id text collate "C",
  attempts integer not null default 0,          -- of a failed one (T3)
  intake_id text collate "C",                   -- what came to a logging address; null: it was seen in a mailbox
  errand_id text collate "C",                   -- what had it judged again; null: it was new
  replaced_by text collate "C",                 -- the decision that holds since, for the same place and connection
  decided_at timestamptz not null default now(),
  -- It is of a message that is stored, or of mail that is held or failed, and stays; else it goes when its month is past.
  lasting boolean not null default false,
  primary key (id, lasting)
) partition by list (lasting);
create index decisions_by_sub_account on decisions (sub_account_id, id);
-- What a person is shown of their own mail, and an administrator of a connection.
create index decisions_by_connection on decisions (connection_id, id) include (outcome, replaced_by);
create index decisions_stored on decisions (connection_id, message_id) where outcome = 'stored';
create index decisions_replaced on decisions (replaced_by) where replaced_by is not null;
create index decisions_by_message on decisions (message_id) where message_id is not null;
create index decisions_by_id_hash on decisions (id_hash);
-- One by one the addresses would cost as much as all the rest of a row. What was added last waits in a list, which each
-- look-up reads through: some eight pages of each partition at most.
create index decisions_by_address on decisions using gin (address_hashes) with (gin_pending_list_limit = 64);
create index decisions_by_intake on decisions (intake_id) where intake_id is not null;
create index decisions_by_place on decisions (folder_id, uid_validity, uid);
create index decisions_failed on decisions (folder_id, decided_at) where outcome = 'failed';

-- How many decisions of each outcome an hour saw: counted once, when it is over, and shown for a week
-- (see src/store/decision-counts.ts). Of the whole installation, and without content.
create table decision_counts (
  hour timestamptz not null,                    -- its start, in UTC
  outcome text not null,
  count integer not null,
  primary key (hour, outcome)
);
`;

const outboundSide = `
create table sends (
  id text collate "C" primary key,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  message_id text collate "C" not null unique references messages on delete cascade,
  user_id text collate "C" not null,
  mailbox_id text collate "C" references mailboxes, -- null: the sub-account's provider
  -- What shares a server and a login: the sends of a mailbox, or those through a sub-account's provider.
  lane text collate "C" not null generated always as (coalesce(mailbox_id, 'provider of ' || sub_account_id)) stored,
  individual boolean not null default true,     -- a person's letter, which goes before bulk and workflow mail
  route jsonb not null,                         -- { through, from, row, because }
  state text not null check (state in ('queued', 'held', 'sending', 'uncertain', 'sent', 'bounced', 'failed', 'cancelled')),
  state_reason text,
  state_since timestamptz not null default now(),
  -- When what its message shows of it changed last. Here, where a row is written anyway: a message is a large one, and
  -- its page mostly full, so that all of its indexes would hear of each state.
  changed_at timestamptz not null default now(),
  envelope jsonb not null,                      -- { from, to: [] }
  internet_message_id text not null,            -- given once, for ever
  server_message_id text,                       -- where the provider's reply named another
  fingerprint text collate "C",                 -- of its message_keys, as it was accepted: by what a copy under another id is known
  request_id text,                              -- of the call that it came by, for the logs
  raw_sha256 text not null,                     -- the bytes that go out, the same at every try
  raw_size bigint not null,
  send_at timestamptz,                          -- not before; null: at once
  copy_seen_at timestamptz,                     -- when the mailbox's own Sent copy was sighted
  uncertain_at timestamptz,
  -- Recipients that were refused while others were taken: [{ address, state, reply }]. Of a send that is sent or
  -- bounced, and ready, those that are deferred are still to be tried.
  refused jsonb not null default '[]',
  -- the columns of every table of work (see src/store/work.ts)
  order_keys text[] not null,
  ready boolean not null default true,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_owner text,
  lease_until timestamptz,
  seq bigint generated always as identity,
  created_at timestamptz not null default now()
) with (fillfactor = 60); -- a row is leased soon after it is written: beside it, no index has to hear of that (HOT)
create index sends_due on sends (individual, due_at, seq) where ready;
create index sends_of_lane on sends (individual, lane, due_at, seq) where ready;
create index sends_order on sends using gin (order_keys) with (fastupdate = off) where ready;
-- Whoever is tried again may bring another copy.
create index sends_unconfirmed on sends (mailbox_id, fingerprint) where copy_seen_at is null or refused <> '[]';
create index sends_uncertain on sends (mailbox_id) where state = 'uncertain';
create index sends_held on sends (mailbox_id) where state = 'held';
create index sends_by_sub_account on sends (sub_account_id, id);
create index sends_by_user on sends (sub_account_id, user_id, id);
-- What is sent is nearly all of them, and found without; of every other state there are few.
create index sends_not_sent on sends (state, id) where state <> 'sent';
create index sends_not_sent_of_sub_account on sends (sub_account_id, state, id) where state <> 'sent';
create index sends_by_raw on sends (raw_sha256);

-- Which process sends for a mailbox whose provider counts sessions and messages: nobody else does until then.
create table sending_leases (
  mailbox_id text collate "C" primary key references mailboxes on delete cascade,
  owner text not null,
  until timestamptz not null
);

-- The count of the individual messages of each mailbox (L3). Whoever takes a place in it locks its row.
create table daily_quotas (
  mailbox_id text collate "C" primary key references mailboxes,
  closed_until timestamptz(3),                  -- its provider has refused individual mail until then; null: never
  counted_at timestamptz not null default clock_timestamp() -- the latest time at which it was locked; later than now: the clock was set back
);

-- A place for each individual message, at the time when it goes or went, for some days. It stays when the message is
-- erased: the provider has counted it.
create table daily_places (
  send_id text collate "C" primary key,
  mailbox_id text collate "C" not null references mailboxes,
  at timestamptz(3) not null
);
create index daily_places_by_mailbox on daily_places (mailbox_id, at);

create table send_attempts (
  send_id text collate "C" not null references sends on delete cascade,
  n integer not null,
  mailbox_id text collate "C",                  -- the send's: some providers count tries by the minute
  started_at timestamptz not null,
  ended_at timestamptz,                         -- null: the process ended before the answer
  outcome text,                                 -- accepted, temporary, permanent, denied, uncertain
  reply text,                                   -- the provider's own words
  primary key (send_id, n)
) partition by range (send_id);
create index send_attempts_by_mailbox on send_attempts (mailbox_id, started_at) where mailbox_id is not null;

-- What is tracked of a send whose call asked for it (D7): 0 is its opening, the others are the links of its HTML.
create table tracked (
  send_id text collate "C" not null references sends on delete cascade,
  n integer not null,
  sub_account_id text collate "C" not null,
  url text,                                     -- where the link leads
  count integer not null default 0,
  first_at timestamptz,
  last_at timestamptz,
  primary key (send_id, n),
  check ((n = 0) = (url is null)),
  check ((count = 0) = (first_at is null) and (first_at is null) = (last_at is null))
);
-- What reports say of a send (D6): delivery reports and read receipts, of each recipient the first of a kind.
create table send_reports (
  send_id text collate "C" not null references sends on delete cascade,
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  address text not null,                        -- as in the send's envelope
  action text not null check (action in ('failed', 'delayed', 'delivered', 'relayed', 'expanded', 'displayed', 'deleted')),
  class text check (class in ('hard', 'soft', 'block')), -- of a failure; null: its codes do not tell
  status text,                                  -- enhanced status code
  words text,                                   -- the other system's own
  reported_at timestamptz not null,             -- when the provider received the report
  primary key (send_id, address, action)
);
create index send_reports_by_sub_account on send_reports (sub_account_id);

-- Copies in Sent that the gateway sees to, at hosts that save none by themselves (U1): one row for each send
-- that such a host took. It goes when a copy shows up that is not the gateway's.
create table sent_copies (
  id text collate "C" primary key references sends on delete cascade, -- the send's own
  sub_account_id text collate "C" not null references sub_accounts on delete cascade,
  mailbox_id text collate "C" not null references mailboxes,
  -- Written before APPEND goes out: from then on the copy may be there, and is the gateway's. Null: the gateway put none there.
  begun_at timestamptz,
  outcome text check (outcome in ('appended', 'not_appended')), -- null: not over
  reason text,                                  -- why not, or not yet
  -- the columns of every table of work (see src/store/work.ts); no order to keep
  ready boolean not null default true,
  attempts integer not null default 0,
  due_at timestamptz not null,
  lease_owner text,
  lease_until timestamptz,
  seq bigint generated always as identity,
  created_at timestamptz not null default now(), -- when the host took the message
  check (ready = (outcome is null))
);
create index sent_copies_due on sent_copies (mailbox_id, due_at, seq) where ready;
create index sent_copies_by_sub_account on sent_copies (sub_account_id, mailbox_id);
`;

const eventSide = `
-- Written in the transaction of what they tell; numbered (sequence) when they are published, one
-- publisher at a time, so that a reader by number never misses one that committed late.
create sequence event_ords;
create table events (
  ord bigint not null default nextval('event_ords'),
  sequence bigint,
  id text collate "C" primary key,
  type text not null,
  sub_account_id text collate "C" references sub_accounts on delete cascade,
  order_keys text[] not null,                   -- conversations (or the connection) within which order is kept
  data jsonb not null,
  object_id text collate "C" generated always as (data ->> 'id') stored, -- what it tells of, for explain
  created_at timestamptz not null default now()
) partition by range (id);
-- No unique ones, which would hold in a partition alone: sequences give the numbers, each of them once.
create index events_by_sequence on events (sequence);
create index events_by_object on events (object_id);
create index events_unpublished on events (ord) where sequence is null;
create index events_by_sub_account on events (sub_account_id, sequence);
-- By an expression: for a type that it takes for a common one the planner would go through events_by_sequence.
create index events_by_type on events (type, (sequence + 0)) where sequence is not null;
create index events_by_type_of_sub_account on events (sub_account_id, type, (sequence + 0)) where sequence is not null;
create sequence event_numbers;

create table webhooks (
  id text collate "C" primary key,
  sub_account_id text collate "C" references sub_accounts on delete cascade, -- null: all
  url text not null,
  types text[] not null,                        -- empty: all
  secret_sealed text not null,
  enabled boolean not null default true,
  paused_until timestamptz,                     -- the endpoint failed; nothing is tried before
  failures integer not null default 0,          -- in a row
  created_at timestamptz not null default now()
);
create index webhooks_by_sub_account on webhooks (sub_account_id);

create table deliveries (
  id text collate "C" primary key,
  webhook_id text collate "C" not null references webhooks on delete cascade,
  -- Goes with its event: see src/store/event-retention.ts. By its id: that alone tells in which partition it is.
  event_id text collate "C" not null,
  state text not null check (state in ('pending', 'delivered', 'parked')),
  last_status integer,
  last_error text,
  delivered_at timestamptz,
  -- the columns of every table of work (see src/store/work.ts); the order keys have their own table
  ready boolean not null default true,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),    -- 'infinity': waits behind another (see src/store/deliveries.ts)
  lease_owner text,
  lease_until timestamptz,
  seq bigint generated by default as identity,  -- a retry of many numbers them in their order
  created_at timestamptz not null default now()
);
create index deliveries_due on deliveries (webhook_id, due_at, seq) where ready;
create index deliveries_by_event on deliveries (event_id);
-- Not by webhook first: a claim must not come upon it when the planner thinks that there are few rows.
create index deliveries_by_state on deliveries (state, webhook_id, seq);

-- The order keys of the deliveries that are ready, and of no others. A B-tree finds the first of a
-- key at once, also when a hundred thousand wait behind an endpoint that is down.
create table delivery_keys (
  webhook_id text collate "C" not null,
  key text collate "C" not null,
  seq bigint not null,
  delivery_id text collate "C" not null references deliveries on delete cascade,
  primary key (webhook_id, key, seq)
);
create index delivery_keys_by_delivery on delivery_keys (delivery_id);
`;

/**
 * What is not of a month that has a partition of its own (see src/store/partitions.ts) is in the default ones: what
 * a node with a wrong clock made, say.
 */
const partitions = `
create table decisions_lasting partition of decisions for values in (true);
-- Here alone: there are few of them among what is stored, and nothing else is where mail was left out.
create index decisions_lasting_not_stored on decisions_lasting (sub_account_id, outcome, id) where outcome <> 'stored';
create table decisions_left_out partition of decisions for values in (false) partition by range (id);
create table decisions_left_out_default partition of decisions_left_out default;
create table send_attempts_default partition of send_attempts default;
create table events_default partition of events default;

-- From when on there is all of a table whose partitions are dropped. No row: nothing was dropped yet.
create table kept_since (
  table_name text primary key,
  since timestamptz not null,
  sequence bigint                               -- the highest number of an event that was dropped
);
`;

/** lz4 triples the insert rate of large texts over pglz; a build of PostgreSQL may lack it (PGlite does). */
async function compressWithLz4(knex: Knex): Promise<void> {
  const columns = [
    'messages.body_text',
    'messages.body_html',
    'messages.reply_text',
    'events.data',
    'decisions.facts',
  ];
  const { rows } = await knex.raw<{ rows: { offered: boolean }[] }>(
    `select 'lz4' = any(enumvals) as offered from pg_settings where name = 'default_toast_compression'`,
  );
  if (rows[0]?.offered !== true) return;
  for (const column of columns) {
    const [table, name] = column.split('.');
    await knex.raw('alter table ?? alter column ?? set compression lz4', [table ?? '', name ?? '']);
  }
}

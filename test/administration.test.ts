import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openAdministration, operatorOf } from '../src/administration.ts';
import { readConfig } from '../src/config.ts';
import { openData } from '../src/data.ts';
import { findAdministratorLink } from '../src/store/administrator-links.ts';
import { rows, run } from '../src/store/database.ts';
import { testDatabase } from './support/database.ts';
import { layEmbeddedDatabase } from './support/embedded.ts';
import type { TestDatabase } from './support/database.ts';
import { twoway } from './support/cli.ts';

describe('npm run twoway -- administrator add', () => {
  let directory: string;
  let settings: Record<string, string>;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twoway-administrator-'));
    settings = { TWOWAY_DATA_DIR: directory };
  });
  after(() => rm(directory, { recursive: true }));

  const data = () => openData(readConfig(settings));

  test('prints a link that works once; again for somebody who is one already', async () => {
    const early = await twoway(['administrator', 'add', 'ann@operator.example'], settings);
    assert.deepEqual([early.code, early.stdout], [2, '']);
    assert.match(early.stderr, /there is no database/);
    await layEmbeddedDatabase(directory);
    const said = await twoway(['administrator', 'add', 'Ann@operator.example'], settings);
    assert.equal(said.code, 0, said.stderr);
    assert.match(said.stdout, /^Ann@operator\.example is an administrator once they have set a password/);
    const token =
      /^ {2}http:\/\/127\.0\.0\.1:8080\/admin\/welcome\/([\w-]{43})$/m.exec(said.stdout)?.[1] ?? '';
    const more = { ...settings, TWOWAY_PUBLIC_URL: 'https://gateway.example/mail/' };
    const again = await twoway(['administrator', 'add', 'ann@operator.example'], more);
    assert.match(again.stdout, /is an administrator already/);
    assert.match(again.stdout, /^ {2}https:\/\/gateway\.example\/mail\/admin\/welcome\/[\w-]{43}$/m);
    const { db, close } = await data();
    try {
      assert.equal((await findAdministratorLink(db, token)).state, 'expired', 'the newer one counts');
      const audited = await rows(db, 'select action, subject, email, client from audit order by id');
      const subject = 'Ann@operator.example';
      assert.deepEqual(audited, [
        { action: 'administrator.added', subject, email: null, client: null },
        { action: 'administrator.link_made', subject, email: null, client: null },
      ]);
    } finally {
      await close();
    }
  });

  for (const words of [
    ['remove', 'ann@operator.example'],
    ['add', 'ann'],
  ])
    test(`says what it wants: ${words.join(' ')}`, async () => {
      const { code, stderr } = await twoway(['administrator', ...words], settings);
      assert.equal(code, 2);
      assert.match(stderr, /administrator wants|is no e-mail address/);
    });
});

describe('what a start makes of the administrators', () => {
  let database: TestDatabase;
  before(async () => {
    database = await testDatabase('postgres');
  });
  after(() => database.drop());

  const byIdentity = (administrators: string) =>
    readConfig({
      TWOWAY_OIDC_ISSUER: 'https://login.operator.example',
      TWOWAY_OIDC_CLIENT_ID: 'x',
      TWOWAY_OIDC_CLIENT_SECRET: 'y',
      TWOWAY_OIDC_ADMINISTRATORS: administrators,
    });

  test('a link while there is nobody, also at the next start; none where an identity provider lets them in', async () => {
    const { db } = database;
    const first = await openAdministration(readConfig({}), db);
    const second = await openAdministration(readConfig({}), db);
    assert.notEqual(first, second);
    const token = (path: string | null) => path?.split('/').at(-1) ?? '';
    assert.equal((await findAdministratorLink(db, token(first))).state, 'expired');
    assert.equal((await findAdministratorLink(db, token(second))).state, 'open');
    assert.equal(await openAdministration(byIdentity('ann@operator.example'), db), null);
    assert.equal(operatorOf(readConfig({})).identity, null);
    assert.deepEqual(operatorOf(byIdentity('a@operator.example, b@operator.example')).identity, {
      issuer: 'https://login.operator.example',
      clientId: 'x',
      clientSecret: 'y',
      administrators: ['a@operator.example', 'b@operator.example'],
    });
  });

  test('who is no administrator at the identity provider any more is signed out by it', async () => {
    const { db } = database;
    for (const [name, hash] of [
      ['ann', null],
      ['ben', null],
      ['cat', 'has a password'],
    ] as const) {
      await run(
        db,
        `insert into administrators (id, email, canonical, password_hash, subject)
         values (:id, :email, :email, :hash, :id)`,
        { id: `adm_${name}`, email: `${name}@operator.example`, hash },
      );
      await run(
        db,
        `insert into console_sessions (id, token_hash, administrator_id, expires_at)
         values (:id, :id::bytea, :administratorId, now() + interval '1 hour')`,
        { id: `ses_${name}`, administratorId: `adm_${name}` },
      );
    }
    assert.equal(await openAdministration(byIdentity('Ann@operator.example'), db), null);
    const left = await rows<{ id: string }>(db, 'select id from console_sessions order by id');
    assert.deepEqual(
      left.map(({ id }) => id),
      ['ses_ann', 'ses_cat'],
    );
  });
});

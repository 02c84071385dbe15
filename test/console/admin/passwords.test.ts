import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { passwordFault } from '../../../src/console/admin/password-rules.ts';
import { createPasswords } from '../../../src/console/admin/passwords.ts';
import { base32, stepOfCode, totpAddress } from '../../../src/console/admin/totp.ts';

describe('which passwords are refused', () => {
  for (const [password, fault] of [
    ['plum harbour ladder', null],
    ['kein Mensch errät diesen Satz', null],
    ['xkwqzvbtmrlp', null],
    ['7b!Qz#92mWx&', null],
    ['ein Sommer am Wannsee 1974', null],
    ['пароль для почты', null],
    ['elf Zeichen', 'password.too_short'],
    ['', 'password.too_short'],
    ['👍👍👍👍👍👍👍👍👍👍👍', 'password.too_short'],
    ['x7'.repeat(101), 'password.too_long'],
    ['ann@operator.example', 'password.is_address'],
    ['Ann@Operator.Example!', 'password.is_address'],
    ['operator.example', 'password.is_address'],
    ['operator2026', 'password.is_address'],
    ['password1234', 'password.too_common'],
    ['P@ssw0rd!2026', 'password.too_common'],
    ['Passwort-2026', 'password.too_common'],
    ['correct horse battery staple', 'password.too_common'],
    ['correcthorsebatterystaple', 'password.too_common'],
    ['iloveyou1234', 'password.too_common'],
    ['Sommer2026!!', 'password.too_common'],
    ['aaaaaaaaaaaa', 'password.too_common'],
    ['abcabcabcabc', 'password.too_common'],
    ['hu7hu7hu7hu7hu7', 'password.too_common'],
    ['123456789012', 'password.too_common'],
    ['qwertyuiopas', 'password.too_common'],
    ['mnbvcxzlkjhg', 'password.too_common'],
    ['            ', 'password.too_common'],
  ] as const) {
    test(`${password.slice(0, 40)}: ${fault ?? 'good'}`, () => {
      assert.equal(passwordFault(password, 'ann@operator.example'), fault);
    });
  }
});

describe('how passwords are stored', () => {
  test('by argon2id, each with its own salt and its parameters, and verified by them', async () => {
    const passwords = createPasswords();
    const [one, two] = await Promise.all([passwords.hash('plum harbour'), passwords.hash('plum harbour')]);
    assert.match(one, /^\$argon2id\$v=19\$m=47104,t=1,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
    assert.notEqual(one, two);
    assert.equal(await passwords.verify('plum harbour', one), true);
    assert.equal(await passwords.verify('plum harbous', one), false);
    assert.equal(await passwords.verify('plum harbour', null), false);
    await assert.rejects(passwords.verify('x', 'plain text'), /another format/);
    // ä as one code point, and as two.
    const umlaut = await passwords.hash('\u00e4pfel');
    assert.equal(await passwords.verify('a\u0308pfel', umlaut), true);
  });

  test('in the thread pool, one at a time, and no more wait than people could', async () => {
    const passwords = createPasswords();
    let turns = 0;
    const turning = setInterval(() => (turns += 1), 1);
    const many = await Promise.allSettled(Array.from({ length: 32 }, () => passwords.verify('x', null)));
    clearInterval(turning);
    assert.ok(turns > 32, `the event loop went on: ${turns}`);
    const refused = many.filter(({ status }) => status === 'rejected');
    assert.equal(refused.length, 2);
    assert.match(String((refused[0] as PromiseRejectedResult).reason), /too many sign in at once/);
    assert.equal(await passwords.verify('x', null), false, 'and afterwards again');
  });
});

describe('codes of an authenticator app', () => {
  // RFC 6238, appendix B, SHA-1; the last six of its eight digits.
  const secret = Buffer.from('12345678901234567890');
  for (const [seconds, code] of [
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ] as const) {
    test(`RFC 6238: ${code} at ${seconds}`, () => {
      const step = Math.floor(seconds / 30);
      assert.equal(stepOfCode(secret, code, seconds * 1000), step);
      assert.equal(stepOfCode(secret, code, (seconds + 30) * 1000), step, 'a step late');
      assert.equal(stepOfCode(secret, code, (seconds + 60) * 1000), null);
      // The first is so early that there is nothing before it.
      if (step === 1) return;
      assert.equal(stepOfCode(secret, code, (seconds - 30) * 1000), step, 'a step early');
      assert.equal(stepOfCode(secret, code, (seconds - 60) * 1000), null);
    });
  }

  test('what is no code is none', () => {
    for (const code of ['', '28708', '2870820', '28708a', ' 287082', '２８７０８２'])
      assert.equal(stepOfCode(secret, code, 59_000), null, code);
  });

  test('the secret, as apps read it (RFC 4648)', () => {
    assert.equal(base32(Buffer.from('foobar')), 'MZXW6YTBOI');
    assert.equal(base32(Buffer.from('f')), 'MY');
    assert.equal(
      totpAddress(Buffer.from('foobar'), { email: 'a+b@operator.example', host: 'gw.example:8080' }),
      'otpauth://totp/Twoway%20gw.example%3A8080:a%2Bb%40operator.example?secret=MZXW6YTBOI&issuer=Twoway%20gw.example%3A8080',
    );
  });
});

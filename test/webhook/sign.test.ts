import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { newId } from '../../src/lib/id.ts';
import { newSecret, openSecrets, replaceSecret, signatureHeaders } from '../../src/webhook/sign.ts';
import { secretBox } from './support.ts';

const body = '{"type":"message.created","data":{"text":"grüße"}}';
const dayMs = 86_400_000;

describe('W2: signatures by the Standard Webhooks specification', () => {
  const id = newId('whk');
  const { secret, sealed } = newSecret(secretBox, id);
  const webhook = { id, secretSealed: sealed };

  test("a request passes the CRM's own check, and a changed one does not", () => {
    const nowMs = Date.now();
    const secrets = openSecrets(secretBox, webhook, nowMs);
    const headers = signatureHeaders({ id: 'evt_1', body, nowMs, secrets });
    const receiver = new Webhook(secret);
    assert.deepEqual(receiver.verify(body, headers), JSON.parse(body));
    assert.equal(headers['webhook-id'], 'evt_1');
    assert.throws(() => receiver.verify(`${body} `, headers));
    assert.throws(() => receiver.verify(body, { ...headers, 'webhook-id': 'evt_2' }));
    assert.throws(() => new Webhook(newSecret(secretBox, id).secret).verify(body, headers));
  });

  test('the timestamp is in seconds, of the try', () => {
    const headers = signatureHeaders({ id: 'evt_1', body, nowMs: 1_999, secrets: [secret] });
    assert.equal(headers['webhook-timestamp'], '1');
  });

  test('a secret has 256 random bits, and is sealed for its webhook', () => {
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    assert.notEqual(newSecret(secretBox, id).secret, secret);
    assert.ok(!sealed.includes(secret.slice(6)));
    assert.throws(() => openSecrets(secretBox, { id: newId('whk'), secretSealed: sealed }, 0));
    const foreign = createSecretBox([Buffer.alloc(32, 9)]);
    assert.throws(() => openSecrets(foreign, webhook, 0));
  });

  test('while a secret is replaced both are good; the old one for a day', () => {
    const nowMs = Date.now();
    const second = replaceSecret(secretBox, webhook, nowMs);
    const replaced = { id, secretSealed: second.sealed };
    const secrets = openSecrets(secretBox, replaced, nowMs);
    assert.deepEqual(secrets, [second.secret, secret]);
    const headers = signatureHeaders({ id: 'evt_1', body, nowMs, secrets });
    for (const known of [secret, second.secret]) new Webhook(known).verify(body, headers);
    assert.deepEqual(openSecrets(secretBox, replaced, nowMs + dayMs), [second.secret]);
    const third = replaceSecret(secretBox, replaced, nowMs);
    const all = openSecrets(secretBox, { id, secretSealed: third.sealed }, nowMs);
    assert.deepEqual(all, [third.secret, second.secret], 'never more than two');
  });
});

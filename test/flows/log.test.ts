import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deliver, passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

describe('the log of a whole story, at the level debug', () => {
  let story: Story;
  before(async () => {
    story = await openStory({ name: 'log', database: 'postgres' });
    await story.connect('gmail');
  });
  after(() => story.end());

  test('holds no secret, no address, no subject and no text of any mail', async () => {
    const { gateway, servers, ann, carla, sub } = story;
    await gateway.must('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      contact_id: 'carla',
      subject: 'Confidential-offer',
      text: 'Outbound-words',
      attachments: [
        { name: 'Named-file.txt', type: 'text/plain', content: Buffer.from('x').toString('base64') },
      ],
    });
    await story.annClient.waitForMail('Confidential-offer', 'Sent');
    await deliver(servers, { from: carla, to: ann, subject: 'Answered-thing', text: 'Inbound-words' });
    await deliver(servers, {
      from: `stan@private-${ann}`,
      to: ann,
      subject: 'Private-thing',
      text: 'Private-words',
    });
    await story.conversationOf(2);
    await waitFor('the stranger’s mail to be left out', async () => {
      const { data } = await gateway.must<{ data: unknown[] }>('GET', `${sub}/decisions?outcome=skipped`);
      return data.length > 0;
    });
    // What goes wrong is logged, too, and could quote what it was about.
    await gateway.call('PUT', `${sub}/contacts/bad`, { name: 'Wrong-name\0', emails: ['Wrong-address'] });
    await gateway.call('PUT', `${sub}/users/ann/connection`, {
      provider: 'imap',
      email: 'typed@somewhere.example',
      imap: { host: '127.0.0.1', port: 9, security: 'tls' },
      smtp: { host: '127.0.0.1', port: 9, security: 'tls' },
      auth: { kind: 'password', username: 'typed-login', password: 'Typed-password' },
    });
    await fetch(`${gateway.url}/v1/keys`, { headers: { authorization: 'Bearer tw_Wrong-key' } });
    const logged = gateway
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const parsed = logged.map((line) => JSON.parse(line) as { level: number; msg: string });
    assert.ok(
      parsed.some(({ msg, level }) => msg === 'call' && level === 20),
      'debug is logged',
    );
    const text = logged.join('\n').toLowerCase();
    const secrets = [
      gateway.key,
      passwordOf(ann),
      Buffer.alloc(32, 5).toString('base64'),
      'typed-password',
      'wrong-key',
    ];
    const mail = [
      'confidential',
      '-words',
      'answered',
      'private-',
      'named-file',
      'wrong-name',
      'wrong-address',
      'typed-login',
    ];
    for (const word of [...secrets, ...mail, ann, carla, 'stan@', 'typed@', 'whsec_', 'bearer'])
      assert.ok(
        !text.includes(word.toLowerCase()),
        `${word}: ${logged.find((line) => line.toLowerCase().includes(word.toLowerCase()))}`,
      );
    // Whatever address it is: none has a reason to be there.
    assert.deepEqual(text.match(/[\w.+-]+@[\w-]+\.[\w.-]+/g) ?? [], []);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failingPage } from './fixtures/modules/failing-page.tsx';

test('a failure in a page names the file and the line as they were written', () => {
  assert.throws(
    () => failingPage({ title: 'Conversations' }),
    ({ message, stack = '' }: Error) => {
      assert.equal(message, 'a page that begins with object failed in line 8');
      assert.match(stack, /failing-page\.tsx:8:9\)/);
      return true;
    },
  );
});

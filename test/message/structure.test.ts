import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type StructureNode, summariseStructure } from '../../src/message/structure.ts';

const attachments = (node: StructureNode): string[] =>
  summariseStructure(node)
    .filter((part) => part.attachment)
    .map((part) => part.part);

describe('structure', () => {
  test('of nothing, and of one part', () => {
    assert.deepEqual(summariseStructure(undefined), []);
    assert.deepEqual(summariseStructure({ type: 'text/plain', size: 12, encoding: '7bit' }), [
      {
        part: '1',
        type: 'text/plain',
        name: null,
        size: 12,
        disposition: null,
        contentId: null,
        attachment: false,
      },
    ]);
  });

  test('L2: what is body and what is an attachment', () => {
    const node: StructureNode = {
      type: 'multipart/mixed',
      childNodes: [
        {
          part: '1',
          type: 'multipart/related',
          childNodes: [
            {
              part: '1.1',
              type: 'multipart/alternative',
              childNodes: [
                { part: '1.1.1', type: 'text/plain' },
                { part: '1.1.2', type: 'text/html', disposition: 'inline' },
              ],
            },
            { part: '1.2', type: 'image/png', id: '<logo@x.example>', disposition: 'attachment' },
            { part: '1.3', type: 'image/png' },
          ],
        },
        { part: '2', type: 'image/jpeg', id: '<shown@x.example>', disposition: 'inline' },
        { part: '3', type: 'image/jpeg', id: '<f_1@x.example>', disposition: 'attachment' },
        {
          part: '4',
          type: 'image/jpeg',
          disposition: 'inline',
          dispositionParameters: { filename: 'photo.jpg' },
        },
        { part: '5', type: 'text/plain', disposition: 'attachment', parameters: { name: 'notes.txt' } },
        { part: '6', type: 'text/calendar' },
        { part: '7', type: 'message/rfc822', childNodes: [{ part: '7', type: 'application/pdf' }] },
        { part: '8', type: 'application/ms-tnef', parameters: { name: 'winmail.dat' } },
        { part: '9', type: 'application/pdf', disposition: 'form-data' },
      ],
    };
    assert.deepEqual(attachments(node), ['1.3', '3', '4', '5', '6', '7', '8', '9']);
    const parts = summariseStructure(node);
    assert.deepEqual(
      parts.map((part) => part.part),
      ['', '1', '1.1', '1.1.1', '1.1.2', '1.2', '1.3', '2', '3', '4', '5', '6', '7', '8', '9'],
    );
    assert.equal(parts[5]?.contentId, 'logo@x.example');
    assert.equal(parts.at(-1)?.disposition, 'attachment');
  });

  test('names are decoded and made harmless', () => {
    const names: [string | undefined, string | null][] = [
      ['offer.pdf', 'offer.pdf'],
      ['=?utf-8?q?Gr=C3=BC=C3=9Fe=2Epdf?=', 'Grüße.pdf'],
      ['../../etc/passwd', 'passwd'],
      ['C:\\temp\\a.doc', 'a.doc'],
      ['..', null],
      ['', null],
      [undefined, null],
      ['a\u0000b\r\n.pdf', 'a b .pdf'],
      ['invoice\u202efdp.exe', 'invoicefdp.exe'],
      [`${'a'.repeat(500)}.pdf`, `${'a'.repeat(196)}.pdf`],
    ];
    for (const [written, expected] of names) {
      const [part] = summariseStructure({
        type: 'application/pdf',
        ...(written === undefined ? {} : { dispositionParameters: { filename: written } }),
      });
      assert.equal(part?.name, expected, written);
    }
  });

  test('L1: decoded sizes are never too high for the usual base64, and at most two bytes too low', () => {
    for (const bytes of [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 1000, 3 * 1024 * 1024, 25 * 1024 * 1024]) {
      const encoded = Math.ceil(bytes / 3) * 4;
      const lines = Math.max(Math.ceil(encoded / 76) - 1, 0);
      for (const final of [0, 2]) {
        const size = encoded + lines * 2 + (encoded > 0 ? final : 0);
        const estimate =
          summariseStructure({ type: 'application/pdf', encoding: 'BASE64', size })[0]?.size ?? -1;
        assert.ok(estimate <= bytes && estimate >= bytes - 2, `${bytes} bytes, estimated ${estimate}`);
      }
    }
    assert.equal(
      summariseStructure({ type: 'text/plain', encoding: 'quoted-printable', size: 100 })[0]?.size,
      100,
    );
    assert.equal(summariseStructure({ type: 'text/plain', size: -1 })[0]?.size, 0);
    assert.equal(summariseStructure({ type: 'text/plain', size: Number.NaN })[0]?.size, 0);
  });

  test('broken types become octet-stream', () => {
    for (const type of ['', '/', 'text', 'a/b/c', 'text/ plain']) {
      assert.equal(summariseStructure({ type })[0]?.type, 'application/octet-stream', type);
    }
  });

  test('stays within bounds: 20,000 parts, 100,000 levels', () => {
    const wide: StructureNode = {
      type: 'multipart/mixed',
      childNodes: Array.from({ length: 20_000 }, (_, index) => ({
        part: String(index + 1),
        type: 'text/plain',
      })),
    };
    assert.equal(summariseStructure(wide).length, 1000);
    let deep: StructureNode = { type: 'text/plain' };
    for (let level = 0; level < 100_000; level++) deep = { type: 'multipart/mixed', childNodes: [deep] };
    assert.equal(summariseStructure(deep).length, 101);
    const ring = { type: 'multipart/mixed', childNodes: [] as StructureNode[] };
    ring.childNodes.push(ring, ring);
    assert.equal(summariseStructure(ring).length, 1000);
  });
});

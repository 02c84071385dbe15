import { randomBytes } from 'node:crypto';
import { createSecretBox, keyNameOf } from '../lib/secret-box.ts';
import type { KeyRing, SecretBox } from '../lib/secret-box.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/** What the sealed hash key is bound to. */
export function hashKeyContext(installationId: string): string {
  return `installation.hash_key ${installationId}`;
}

/**
 * The secret box of this installation: it seals with the configured keys, and hashes with the key that the database
 * holds. Null before the first start, when nothing is sealed or hashed.
 *
 * @throws Error, in words for whoever starts the gateway, when none of the keys is the one that it was sealed with.
 */
export async function openSecretBox(db: Db, keys: KeyRing): Promise<SecretBox | null> {
  const { id, sealed } = await readSealedKey(db);
  if (sealed === null) return null;
  const ring = createSecretBox(keys);
  if (!ring.keyNames.includes(keyNameOf(sealed))) {
    throw new Error(
      `what this database has sealed opens with the key ${keyNameOf(sealed)}, and TWOWAY_SECRET_KEYS has ` +
        `${ring.keyNames.join(', ')} (see \`twoway doctor\`). Put that key back; a new one goes before it`,
    );
  }
  return createSecretBox(keys, Buffer.from(ring.open(sealed, hashKeyContext(id)), 'base64'));
}

/** The same for the gateway, which makes the hash key at its first start. Of two nodes that do, one has made it. */
export async function makeSecretBox(db: Db, keys: KeyRing): Promise<SecretBox> {
  const { id, sealed } = await readSealedKey(db);
  if (sealed === null) {
    const made = createSecretBox(keys).seal(randomBytes(32).toString('base64'), hashKeyContext(id));
    await run(db, 'update installation set hash_key_sealed = :made where hash_key_sealed is null', { made });
  }
  const secretBox = await openSecretBox(db, keys);
  if (secretBox === null) throw new Error('the hash key was not stored');
  return secretBox;
}

async function readSealedKey(db: Db): Promise<{ id: string; sealed: string | null }> {
  const [installation] = await rows<{ id: string; sealed: string | null }>(
    db,
    'select id, hash_key_sealed as sealed from installation',
  );
  if (installation === undefined) throw new Error('the database has lost its table "installation"');
  return installation;
}

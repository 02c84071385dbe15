import type { BlobStore } from '../store/blobs.ts';
import type { Db } from '../store/database.ts';
import { addSpooled } from '../store/spool.ts';
import type { Take } from './hand-over.ts';

/** Takes mail from the spool of this node: its bytes among the blobs, then its rows, for whichever node files it. */
export function createTake(deps: {
  db: Db;
  blobs: BlobStore;
  /** Called after a commit that left mail to be filed behind. */
  wakeFiler(): void;
}): Take {
  return async (batch) => {
    const names = batch.map(({ spooled }) => spooled.sha256);
    await deps.blobs.put(
      batch.map(({ raw }) => raw),
      names,
    );
    await addSpooled(
      deps.db,
      batch.map(({ spooled }) => spooled),
    );
    deps.wakeFiler();
  };
}

// A process that takes the locks of the folders it is told of, says whether it got them, and keeps them.
import { messageOf } from '../../src/lib/failure.ts';
import { lockDirectory } from '../../src/store/directory-lock.ts';

process.on('message', (directory: string) => {
  lockDirectory(directory).then(
    () => process.send?.('won'),
    (error: unknown) => process.send?.(messageOf(error)),
  );
});
process.send?.('ready');

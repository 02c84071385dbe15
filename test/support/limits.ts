import { limitsBy } from '../../src/provider/figures.ts';
import { resolveProvider } from '../../src/provider/providers.ts';

/** The limits of mailboxes as they come, where no operator has said anything; the sandbox's are Gmail's. */
export const usualLimits = limitsBy((name) => resolveProvider(name === 'sandbox' ? 'gmail' : name));

import { createGoogleClient } from './google.ts';
import { createMicrosoftClient } from './microsoft.ts';
import type { ClientCredentials, OAuthClient } from './oauth.ts';
import type { Provider } from './providers.ts';

/**
 * The dialogue with a resolved provider's OAuth endpoints. It holds no connection and no token, so one
 * serves the whole process.
 *
 * @throws Error when the provider has no consent: its mailboxes log in by password.
 */
export function createOAuthClient(provider: Provider, credentials: ClientCredentials): OAuthClient {
  const { oauth, scopes } = provider;
  if (oauth === null) throw new Error(`${provider.name} has no OAuth endpoints`);
  return oauth.dialect === 'google'
    ? createGoogleClient(oauth, scopes, credentials)
    : createMicrosoftClient(oauth, scopes, credentials);
}

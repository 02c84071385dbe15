import type { CheckName, Finding } from '../../lib/finding.ts';

/** What the gateway is started with, as far as its administrators see it or sign in by it. */
export type Operator = {
  /** See `httpClientOf`. */
  httpProxies: readonly string[];
  /** By whom administrators sign in besides by password; null: nobody. */
  identity: IdentitySettings | null;
  /** Every setting in force. */
  settings: readonly ShownSetting[];
  /** Where logging addresses are; null: nowhere. */
  loggingDomain: string | null;
  /** Looks whether everything around the gateway is as it needs it, as `twoway doctor` does. */
  examine(): Promise<readonly Examined[]>;
};

/** An OpenID Connect provider. */
export type IdentitySettings = {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** Addresses of those who are administrators. */
  administrators: readonly string[];
};

/** A setting as it stands in config/example.env. */
export type ShownSetting = {
  name: string;
  /** Empty: none. Null: a secret, which is set. */
  value: string | null;
  isDefault: boolean;
  /** In English. */
  explain: string;
};

/** What was found of one thing. */
export type Examined = { name: CheckName; finding: Finding };

import type { LoggingAddressId, SpoolId } from '../lib/id.ts';

/** What the SMTP session said of a message (RFC 5321 §2.3.1). */
export type Envelope = {
  /** MAIL FROM; empty for the null sender of bounces. */
  from: string;
  /** RCPT TO, as written: logging addresses alone, each known then. */
  to: { address: string; loggingAddressId: LoggingAddressId; tag: string }[];
  helo: string;
  /** IP address of the sending server, behind a trusted proxy the one that the proxy named. */
  clientAddress: string;
  tls: boolean;
};

/**
 * What the sending domain proves of From (B4), without content. `pending`: DNS gave no answer in time;
 * whoever files it asks again.
 */
export type Proof = {
  /**
   * `proven`: DKIM or SPF passes, aligned with From. `failed`: neither does, and the domain's own DMARC policy
   * asks to reject or to quarantine such mail. `unproven`: neither, and the domain says nothing of it.
   */
  verdict: 'proven' | 'failed' | 'unproven' | 'pending';
  /** Domain of From, in lower case; empty where From is not one readable address. */
  domain: string;
  by: 'dkim' | 'spf' | null;
  /** The results as words of RFC 8601 §2.7 (`pass`, `fail`, `none`, …); null: not looked at, since another sufficed. */
  spf: string | null;
  dkim: string | null;
  dmarcPolicy: 'none' | 'quarantine' | 'reject' | null;
  /** A chain that holds (RFC 8617); a hint for who reviews, never a proof. */
  arc: string | null;
};

/** A message that was accepted with 250, and waits to be filed. */
export type Spooled = {
  /** spl_…, given when it was accepted: what makes a repeated hand-over harmless. */
  id: SpoolId;
  /** ms since the epoch. */
  receivedAt: number;
  envelope: Envelope;
  proof: Proof;
  /** Of the raw message as it came, SMTP's dots undone. */
  sha256: string;
  /** Bytes. */
  size: number;
};

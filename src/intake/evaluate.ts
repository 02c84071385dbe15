import { Readable } from 'node:stream';
import type { ARCData, DKIMResult } from 'mailauth';
import { arc } from 'mailauth/lib/arc/index.js';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { evaluateDmarc } from 'mailauth/lib/dmarc/index.js';
import { spf } from 'mailauth/lib/spf/index.js';
import { getAlignment } from 'mailauth/lib/tools.js';
import { domainOf } from '../message/addresses.ts';
import type { Envelope, Proof } from '../store/spool.ts';
import type { ResolveDns } from './dns.ts';
import { noProof, proofOf } from './verify.ts';
import type { Evidence, Writer } from './verify.ts';

/** A raw message that need not be in memory. */
export type RawMessage = { pieces(): AsyncIterable<Buffer> };

/** What the session said, as far as SPF asks. */
export type Sender = Pick<Envelope, 'from' | 'helo' | 'clientAddress'>;

/** Honest mail has one to three; each costs a look-up, a hash of the body and a verification. */
const signaturesMax = 10;
/** RFC 5321 §4.5.3.1.6 allows 1,000. */
const lineBytesMax = 1024 * 1024;

/** The signatures of a message that would take too long. */
const notLookedAt = { result: 'policy', isAligned: false };

type Means = { resolve: ResolveDns; hostName: string; signal: AbortSignal };

/** Asks DNS who may write for this domain. SPF first: where it suffices, the body is not read. */
export async function evaluate(
  message: RawMessage,
  writer: Writer,
  sender: Sender,
  means: Means,
): Promise<Proof> {
  const { resolve, hostName: mta } = means;
  const { from: mailFrom, helo, clientAddress: ip } = sender;
  const checked = await spf({ sender: mailFrom, ip, helo, mta, resolver: resolve });
  // Of the null sender, HELO is what is checked (RFC 7208 §2.4).
  const spfDomain = mailFrom === '' ? helo.toLowerCase() : domainOf(mailFrom);
  const isOwn = checked.status.result === 'pass' && spfDomain === writer.domain;
  // The same domain is aligned whatever its policy says, so that most mail needs no more questions.
  if (isOwn) return { ...noProof('unproven', writer.domain), verdict: 'proven', by: 'spf', spf: 'pass' };
  const { isSpfAligned, policy } = await align(writer, spfDomain, [], resolve);
  const evidence: Evidence = {
    domain: writer.domain,
    spf: { result: checked.status.result, isAligned: isSpfAligned },
    dkim: null,
    policy,
    arc: null,
  };
  const bySpf = proofOf(evidence);
  if (bySpf.verdict === 'proven') return bySpf;
  if (writer.signatures > signaturesMax) return proofOf({ ...evidence, dkim: notLookedAt });
  const lines = createLineReader(message.pieces(), means.signal);
  const input = Readable.from(lines.pieces(), { objectMode: false });
  const verified = await dkimVerify(input, { resolver: resolve, rejectRsaSha1: true });
  if (lines.isTooLong()) return proofOf({ ...evidence, dkim: notLookedAt });
  const signatures = verified.results.map((one) => signatureOf(one, writer));
  const aligned = await align(
    writer,
    spfDomain,
    signatures.map(({ domain }) => domain),
    resolve,
  );
  const withDkim = { ...evidence, dkim: bestOf(signatures, aligned.dkimAligned) };
  const byDkim = proofOf(withDkim);
  if (byDkim.verdict === 'proven') return byDkim;
  // What one function of mailauth gives the other takes; only its types say otherwise (7.1.0).
  const chain = await arc(verified.arc as ARCData, { resolver: resolve });
  return proofOf({ ...withDkim, arc: chain.status.result });
}

/** A signature that was looked at; `result` as in RFC 8601 §2.7.1. */
type Signature = { domain: string; result: string };

function signatureOf(found: DKIMResult, writer: Writer): Signature {
  const { result, comment, underSized = 0 } = found.status;
  const domain = domainOf(`@${found.signingDomain ?? ''}`);
  // Parts of what people are shown are not signed: by `l=` (RFC 6376 §8.2), or by a field above the signed one.
  if (result === 'pass' && (underSized > 0 || writer.hasRepeatedField)) return { domain, result: 'policy' };
  // mailauth (7.1.0) says neutral of it, RFC 8601 fail.
  if (comment === 'body hash did not verify') return { domain, result: 'fail' };
  return { domain, result };
}

/** The one that says most: an aligned pass, one that may yet become it, any aligned one, any. */
function bestOf(
  signatures: readonly Signature[],
  aligned: ReadonlySet<string>,
): NonNullable<Evidence['dkim']> {
  const own = signatures.filter(({ domain }) => aligned.has(domain));
  const best =
    own.find(({ result }) => result === 'pass') ?? own.find(({ result }) => result === 'temperror') ?? own[0];
  if (best !== undefined) return { result: best.result, isAligned: true };
  return { result: signatures[0]?.result ?? 'none', isAligned: false };
}

type Alignment = { isSpfAligned: boolean; dkimAligned: ReadonlySet<string>; policy: Evidence['policy'] };

/**
 * Which domains are aligned with From, and the policy for From's: as its DMARC record says (RFC 7489 §3.1, with
 * the tree walk of RFC 9989 §4.10); without a record relaxed, by the Public Suffix List.
 */
async function align(
  writer: Writer,
  spfDomain: string,
  dkimDomains: readonly string[],
  resolver: ResolveDns,
): Promise<Alignment> {
  const { response, dkimAligned } = await evaluateDmarc({
    headerFrom: [writer.from ?? ''],
    fromFields: 1,
    spfDomains: [spfDomain],
    dkimDomains: dkimDomains.map((domain) => ({ domain })),
    resolver,
  });
  const alignedIf = (test: (domain: string) => boolean) => ({
    isSpfAligned: test(spfDomain),
    dkimAligned: new Set(dkimDomains.filter(test)),
  });
  if (response === false) return { ...alignedIf(() => false), policy: null };
  const { result } = response.status;
  if (result === 'none') return { ...alignedIf((domain) => isRelated(writer.domain, domain)), policy: null };
  // The same domain is aligned whatever the record says.
  if (result === 'temperror')
    return { ...alignedIf((domain) => domain === writer.domain), policy: 'unknown' };
  return {
    isSpfAligned: response.alignment.spf.result !== undefined,
    dkimAligned: dkimAligned ?? new Set(),
    policy: policyOf(response.policy),
  };
}

function isRelated(from: string, domain: string): boolean {
  return domain !== '' && getAlignment(from, [domain], false) !== false;
}

function policyOf(word: string): Proof['dmarcPolicy'] {
  return word === 'reject' || word === 'quarantine' ? word : 'none';
}

/** mailauth (7.1.0) takes a time for a line that grows with the square of its length, and 1 µs for each bare LF. */
function createLineReader(source: AsyncIterable<Buffer>, signal: AbortSignal) {
  let lineBytes = 0;
  let endsInCr = false;
  return {
    /** Whether a line was so long that the rest was left out. */
    isTooLong: () => lineBytes > lineBytesMax,
    async *pieces(): AsyncGenerator<Buffer> {
      for await (const piece of source) {
        signal.throwIfAborted();
        const newline = piece.lastIndexOf(0x0a);
        lineBytes = newline < 0 ? lineBytes + piece.length : piece.length - newline;
        if (lineBytes > lineBytesMax) return;
        yield withCrLf(piece, endsInCr);
        endsInCr = piece.at(-1) === 0x0d;
      }
    },
  };
}

/** Bare LFs as CRLF, as a verifier has to see them (RFC 6376 §5.3). */
function withCrLf(piece: Buffer, isAfterCr: boolean): Buffer {
  const text = piece.toString('latin1');
  const bare = isAfterCr ? /(?<!\r|^)\n/g : /(?<!\r)\n/g;
  return bare.test(text) ? Buffer.from(text.replace(bare, '\r\n'), 'latin1') : piece;
}

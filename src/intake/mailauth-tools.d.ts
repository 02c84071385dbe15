/** The part of mailauth (7.1.0) that it does not describe itself: alignment by the Public Suffix List. */
declare module 'mailauth/lib/tools.js' {
  /** The first of `domains` that has the organizational domain of `from` (or, if strict, is it); false when none has. */
  export function getAlignment(
    from: string,
    domains: readonly string[],
    strict: boolean,
  ): { domain: string } | false;
}

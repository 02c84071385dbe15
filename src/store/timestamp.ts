/** SQL that writes a timestamptz column as the API shows times: RFC 3339 in UTC, with milliseconds. */
export function timestamp(column: string): string {
  return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

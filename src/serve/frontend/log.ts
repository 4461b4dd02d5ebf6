/** What a log line may carry besides its event: never a prompt, an answer or a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>

/** Where events are told; the entry that opens the frontend decides what becomes of them. */
export interface Log {
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
}

/** Says nothing. */
export const silentLog: Log = { info() {}, warn() {}, error() {} }

import type { Log, LogFields } from "../serve/frontend/log.ts"

/** Log lines as JSON on standard error. `info` only when asked for. */
export function jsonLog(options: { readonly verbose: boolean }): Log {
  const line = (level: string) => (event: string, fields?: LogFields) => {
    process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`)
  }
  return { info: options.verbose ? line("info") : () => {}, warn: line("warn"), error: line("error") }
}

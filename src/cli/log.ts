import { type Log, type LogFields, silentLog } from "../serve/frontend/log.ts"

/** How much is logged. */
export type LogLevel = "silent" | "warn" | "info"

/** Log lines as JSON on standard error. */
export function jsonLog(level: LogLevel): Log {
  const line = (name: string) => (event: string, fields?: LogFields) => {
    process.stderr.write(
      `${JSON.stringify({ time: new Date().toISOString(), level: name, event, ...fields })}\n`,
    )
  }
  if (level === "silent") return silentLog
  return { info: level === "info" ? line("info") : silentLog.info, warn: line("warn"), error: line("error") }
}

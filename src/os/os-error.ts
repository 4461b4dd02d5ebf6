import koffi from "koffi"
import type { KvErrorCode } from "../errors/codes.ts"
import { KvError, type KvErrorText } from "../errors/kv-error.ts"

const names = new Map<number, string>()
for (const [name, number] of Object.entries(koffi.os.errno)) if (!names.has(number)) names.set(number, name)

/** The symbolic name of an errno, such as `EADDRINUSE`. */
export const errnoName = (errno: number): string => names.get(errno) ?? `errno ${errno}`

/** A failed native call as an error: the call, its errno by name and number, and what the caller adds. */
export function osError(
  call: string,
  errno: number,
  text: { readonly what: string; readonly next?: string },
  code: KvErrorCode = "KV_OS",
): KvError {
  const full: KvErrorText = { ...text, why: `${call} answered ${errnoName(errno)} (${errno})` }
  return new KvError(code, full)
}

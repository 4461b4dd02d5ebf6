import type { KvErrorCode } from "../../errors/codes.ts"
import { KvError } from "../../errors/kv-error.ts"
import { status } from "../../wire/stream-frames.ts"

/** What a status of an answer means to the one who asked. */
export function refusal(
  peer: string,
  direction: "read" | "write",
  bytes: number,
  code: number,
  piece: number,
): KvError {
  const reasons: Record<number, readonly [KvErrorCode, string]> = {
    [status.rkeyRejected]: [
      "KV_RKEY_REJECTED",
      "the peer does not know that key: it restarted, or closed the region",
    ],
    [status.outOfBounds]: ["KV_REGION_BOUNDS", "the piece does not lie inside the peer's region"],
    [status.notGranted]: ["KV_PEER_UNTRUSTED", `the peer did not grant a ${direction}`],
  }
  const [errorCode, why] = reasons[code] ?? (["KV_WIRE_INVALID", `the peer answered status ${code}`] as const)
  return new KvError(errorCode, {
    what: `${peer} refused piece ${piece} of a request of ${bytes} bytes`,
    why,
  })
}

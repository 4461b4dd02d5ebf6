import { KvError } from "../errors/kv-error.ts"
import { messageLimits } from "../wire/control-messages.ts"

/** Longer ones would be taken for a broken message, and the peer would leave us. @throws KvError KV_LIMIT. */
export function checkNote(note: string | undefined): void {
  if (note === undefined || note.length <= messageLimits.note) return
  throw new KvError("KV_LIMIT", {
    what: `a note of ${note.length} characters`,
    why: `peers read at most ${messageLimits.note}`,
    next: "send bytes with `notify` instead: they travel beside the text",
  })
}

/** What is no lease at all must not reach the peer: it would take the message for a broken one, and leave us. @throws KvError KV_LEASE_UNKNOWN. */
export function checkLease(lease: string): void {
  if (/^[0-9a-f]{32}$/.test(lease)) return
  throw new KvError("KV_LEASE_UNKNOWN", { what: `${JSON.stringify(lease.slice(0, 40))} is not a lease` })
}

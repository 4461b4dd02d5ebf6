import { KvError } from "../../errors/kv-error.ts"
import { encodeFrame } from "../../wire/control-frame.ts"
import { type ControlMessage, noCall } from "../../wire/control-messages.ts"
import type { SimProcess } from "../process.ts"
import type { Random } from "../random.ts"
import { lied, type Manner, type Mask } from "./lines.ts"
import type { Speaker } from "./speaker.ts"

/** Messages at once that no turn has room for. */
const floodOf = 80

/** Says what is due, or what its manner makes of it. */
export function takeTurn(
  speaker: Speaker,
  due: ControlMessage,
  manner: Manner | undefined,
  { mask, random, process }: { readonly mask: Mask; readonly random: Random; readonly process: SimProcess },
): void {
  const garbage = Uint8Array.from({ length: 1 + random.below(40) }, () => random.below(256))
  switch (manner) {
    case undefined:
      return speaker.say([due])
    case "silence":
      return undefined
    case "garbage":
      return speaker.sayBytes(Buffer.concat([Buffer.from("none"), garbage, Buffer.alloc(32)]))
    case "leave":
      return speaker.leave()
    case "say and leave":
      process.later(random.millis(0, 15), () => speaker.leave())
      return speaker.say([due])
    case "refuse": {
      const { code, what } = new KvError("KV_PEER_REFUSED", { what: "not today" })
      return speaker.say([{ type: "refused", call: noCall, error: { code, what } }])
    }
    case "lie":
      return speaker.say([lied(due, mask, random)])
    case "eager":
      // The next words before they are due, in one piece with these, and they are none.
      return speaker.say([due], Buffer.concat([Buffer.from("none"), garbage, Buffer.alloc(32)]))
    case "flood":
      return speaker.say(Array<ControlMessage>(floodOf).fill(due))
    case "cut short": {
      const bytes = encodeFrame({ body: due })
      speaker.sayBytes(bytes.subarray(0, random.below(bytes.byteLength)))
      return speaker.leave()
    }
  }
}

import type { Notice } from "../../agent/caller.ts"
import type { Peer } from "../../agent/peer.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { Life } from "../node.ts"
import type { SimProcess } from "../process.ts"
import type { World } from "../world.ts"

/** Notes of one sender to one receiver: what was sent, and how far the receiver is. */
interface Line {
  sent: number
  heard: number
}

/** Notifications, and what is promised of them: in order, once or not at all, whole, and from whom they say. */
export class Notes {
  readonly #world: World
  readonly #lines = new Map<string, Line>()
  readonly #ofTransfers = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
  }

  /** Sends a few notes to a peer. */
  send(life: Life, peer: Peer, count: number): string {
    const line = this.#line(life.process.name, peer.card.agentId)
    for (let i = 0; i < count; i++) {
      const number = line.sent + 1
      try {
        peer.notify(`${life.process.name} ${number}`, Uint8Array.of(number & 255, 7))
      } catch (thrown) {
        if (thrown instanceof KvError) return `notify: ${thrown.code}`
        throw thrown
      }
      line.sent = number
    }
    return "notified"
  }

  /** A note has arrived at a process. */
  hear(process: SimProcess, { from, text, attachment, lease }: Notice): void {
    if (lease !== undefined) return this.#hearOfTransfer(process, text)
    const [sender = "", number = "0"] = text.split(" ")
    const line = this.#line(sender, process.slot)
    const wrong = (what: string): void => this.#world.broken("P4", process.name, `the note "${text}" ${what}`)
    if (!sender.startsWith(`${from}.`)) wrong(`came as one of ${from}`)
    if (Number(number) > line.sent) wrong("was never sent")
    if (Number(number) <= line.heard) wrong(`came after note ${line.heard}`)
    if (attachment[0] !== (Number(number) & 255) || attachment[1] !== 7) wrong("came with other bytes")
    line.heard = Number(number)
  }

  #hearOfTransfer(process: SimProcess, text: string): void {
    const times = (this.#ofTransfers.get(text) ?? 0) + 1
    this.#ofTransfers.set(text, times)
    if (times > 1) this.#world.broken("P4", process.name, `"${text}" was told ${times} times`)
  }

  /** A delivered transfer has told its note. */
  mustHaveHeard(who: string, request: string): void {
    if (!this.#ofTransfers.has(`note ${request}`))
      this.#world.broken("P1", who, `${request} is delivered, and its note was not told`)
  }

  #line(sender: string, receiver: string): Line {
    const key = `${sender}>${receiver}`
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = { sent: 0, heard: 0 }
      this.#lines.set(key, line)
    }
    return line
  }
}

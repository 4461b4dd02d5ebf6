import type { ControlChannel } from "../../agent/control-network.ts"
import { KvError } from "../../errors/kv-error.ts"

/** The longest message of somebody who has not proven anything yet, and of one who has. */
const strangerBytesMax = 2048
const friendBytesMax = 8 * 2 ** 20
const lengthBytes = 4

/** Messages as JSON over a TCP connection, each behind its length as four bytes. */
export class SideChannel {
  /** Hears what comes, in order. An error that it throws closes the channel. */
  onMessage: (message: unknown) => void = () => {}
  /** Hears, once, that the channel is closed. */
  onClosed: (why: string) => void = () => {}
  readonly peerHost: string
  readonly #channel: ControlChannel
  #bytesMax = strangerBytesMax
  #rest: Buffer = Buffer.alloc(0)
  #why: string | undefined
  #open = true

  constructor(channel: ControlChannel) {
    this.#channel = channel
    this.peerHost = channel.peerHost
    channel.onBytes((bytes) => this.#take(bytes))
    channel.onClose((why) => {
      this.#open = false
      this.onClosed(this.#why ?? why)
    })
  }

  get open(): boolean {
    return this.#open
  }

  /** From now on long messages are taken: the other side has proven the session. */
  trust(): void {
    this.#bytesMax = friendBytesMax
  }

  send(message: object): void {
    if (!this.#open) return
    const body = Buffer.from(JSON.stringify(message, asBase64))
    const frame = Buffer.allocUnsafe(lengthBytes + body.byteLength)
    frame.writeUInt32LE(body.byteLength, 0)
    body.copy(frame, lengthBytes)
    this.#channel.send(frame)
  }

  /** Hangs up; what was sent before still goes out. */
  close(why: string): void {
    if (!this.#open) return
    this.#why ??= why
    this.#open = false
    this.#channel.close()
  }

  #take(bytes: Uint8Array): void {
    this.#rest = this.#rest.byteLength === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes])
    try {
      while (this.#open) {
        if (this.#rest.byteLength < lengthBytes) return
        const length = this.#rest.readUInt32LE(0)
        if (length > this.#bytesMax) {
          throw new KvError("KV_WIRE_INVALID", {
            what: `the peer announced a message of ${length} bytes on a nixl side channel`,
            why: `one may have ${this.#bytesMax} here`,
          })
        }
        if (this.#rest.byteLength < lengthBytes + length) return
        const body = this.#rest.subarray(lengthBytes, lengthBytes + length)
        this.#rest = this.#rest.subarray(lengthBytes + length)
        this.onMessage(parsed(body))
      }
    } catch (thrown) {
      this.close(thrown instanceof KvError ? thrown.message : `a mistake of ours: ${String(thrown)}`)
    }
  }
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"))
  } catch {
    throw new KvError("KV_WIRE_INVALID", { what: "the peer sent no JSON on a nixl side channel" })
  }
}

/** A Buffer turns itself into an object before a replacer sees it. */
function asBase64(this: unknown, key: string, value: unknown): unknown {
  const own = typeof this === "object" && this !== null ? Reflect.get(this, key) : undefined
  return Buffer.isBuffer(own) ? own.toString("base64") : value
}

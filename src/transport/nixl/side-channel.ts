import type { ControlChannel } from "../../agent/control-network.ts"
import { KvError } from "../../errors/kv-error.ts"
import { MessageSplitter, packMessage } from "../../wire/json-messages.ts"

/** The longest message of somebody who has not proven anything yet, and of one who has. */
const strangerBytesMax = 2048
const friendBytesMax = 8 * 2 ** 20

/** Messages as JSON over a TCP connection, each behind its length. */
export class SideChannel {
  /** Hears what comes, in order. An error that it throws closes the channel. */
  onMessage: (message: unknown) => void = () => {}
  /** Hears, once, that the channel is closed. */
  onClosed: (why: string) => void = () => {}
  readonly peerHost: string
  readonly #channel: ControlChannel
  readonly #splitter = new MessageSplitter(strangerBytesMax)
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
    this.#splitter.bytesMax = friendBytesMax
  }

  send(message: object): void {
    if (!this.#open) return
    this.#channel.send(packMessage(message, asBase64))
  }

  /** Hangs up; what was sent before still goes out. */
  close(why: string): void {
    if (!this.#open) return
    this.#why ??= why
    this.#open = false
    this.#channel.close()
  }

  #take(bytes: Uint8Array): void {
    this.#splitter.push(bytes)
    try {
      while (this.#open) {
        const message = this.#splitter.next()
        if (message === undefined) return
        this.onMessage(message)
      }
    } catch (thrown) {
      this.close(thrown instanceof KvError ? thrown.message : `a mistake of ours: ${String(thrown)}`)
    }
  }
}

/** A Buffer turns itself into an object before a replacer sees it. */
function asBase64(this: unknown, key: string, value: unknown): unknown {
  const own = typeof this === "object" && this !== null ? Reflect.get(this, key) : undefined
  return Buffer.isBuffer(own) ? own.toString("base64") : value
}

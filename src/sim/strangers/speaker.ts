import type { ControlChannel } from "../../agent/control-network.ts"
import { KvError } from "../../errors/kv-error.ts"
import { encodeFrame, FrameReader } from "../../wire/control-frame.ts"
import {
  type ControlMessage,
  type ControlMessageOf,
  readControlMessage,
} from "../../wire/control-messages.ts"

/** One end of a channel that speaks the protocol without any of an agent's manners. */
export class Speaker {
  readonly heard: ControlMessage[] = []
  readonly #channel: ControlChannel
  readonly #reader = new FrameReader()

  constructor(channel: ControlChannel, onMessage: (message: ControlMessage) => void = () => {}) {
    this.#channel = channel
    channel.onClose(() => {})
    channel.onBytes((bytes) => {
      for (const message of this.#read(bytes)) {
        this.heard.push(message)
        onMessage(message)
      }
    })
  }

  /** Says messages in one piece, with whatever bytes behind them. */
  say(messages: readonly ControlMessage[], behind: Uint8Array = new Uint8Array(0)): void {
    this.#channel.send(Buffer.concat([...messages.map((body) => encodeFrame({ body })), behind]))
  }

  sayBytes(bytes: Uint8Array): void {
    this.#channel.send(bytes)
  }

  leave(): void {
    this.#channel.close()
  }

  has(type: ControlMessage["type"]): boolean {
    return this.heard.some((message) => message.type === type)
  }

  last<T extends ControlMessage["type"]>(type: T): ControlMessageOf<T> {
    return this.heard.findLast((message) => message.type === type) as ControlMessageOf<T>
  }

  /** What cannot be read is nothing to a stranger; so is what is sealed, behind the end of a handshake. */
  #read(bytes: Uint8Array): ControlMessage[] {
    const read: ControlMessage[] = []
    this.#reader.push(bytes)
    try {
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        read.push(readControlMessage(frame.body))
      }
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
    }
    return read
  }
}

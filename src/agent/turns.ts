import { KvError, type KvErrorRecord, kvErrorFromRecord } from "../errors/kv-error.ts"
import type { ControlMessage, ControlMessageOf } from "../wire/control-messages.ts"
import type { MessageChannel, Received } from "./channel.ts"
import type { Clock } from "./control-network.ts"
import { type HandshakeEvent, type HandshakeState, nextHandshakeState } from "./handshake-state.ts"

/** Messages that may come before their turn: an honest peer has no more than a refusal to say. */
const earlyMax = 4

/** What a conversation in turns needs to know. */
export interface TurnsOptions {
  readonly clock: Clock
  readonly timeoutMillis: number
  /** What to make of a peer that does not trust us: told from our side, for its words name us, not it. */
  readonly notTrusted: () => KvError
  readonly onStep?: ((from: HandshakeState, event: HandshakeEvent, to: HandshakeState) => void) | undefined
}

/** A handshake in turns, driven by its state machine, with one deadline over all of it. */
export class Turns {
  readonly #channel: MessageChannel
  readonly #options: TurnsOptions
  readonly #early: Received[] = []
  readonly #cancelTimer: () => void
  #state: HandshakeState = "idle"
  #waiting: { resolve(message: ControlMessage): void; reject(error: KvError): void } | undefined
  /** How the channel ended, until the conversation gets there: what was said before counts first. */
  #ended: { readonly event: HandshakeEvent; readonly error: KvError } | undefined

  constructor(channel: MessageChannel, options: TurnsOptions, first?: "call") {
    this.#channel = channel
    this.#options = options
    if (first !== undefined) this.step(first)
    this.#cancelTimer = options.clock.after(options.timeoutMillis, () => {
      const what = `${channel.peer} did not finish the handshake within ${Math.round(options.timeoutMillis)} ms`
      this.#giveUp("expire", new KvError("KV_DEADLINE", { what }))
    })
    channel.listen(
      (received) => this.#take(received),
      (error) => this.#end(error.code === "KV_PEER_LOST" ? "lose" : "break", error),
    )
  }

  /** Goes one step forward. */
  step(event: HandshakeEvent): void {
    const from = this.#state
    this.#state = nextHandshakeState(from, event)
    this.#options.onStep?.(from, event, this.#state)
  }

  /** Waits for the message whose turn it is. */
  async expect<Type extends ControlMessage["type"]>(type: Type): Promise<ControlMessageOf<Type>> {
    const message = await new Promise<ControlMessage>((resolve, reject) => {
      const early = this.#early.shift()
      if (early !== undefined) resolve(early.message)
      else if (this.#ended !== undefined) reject(this.#arrive(this.#ended))
      else this.#waiting = { resolve, reject }
    })
    if (message.type === "refused") throw this.fail("refusal", this.#refusal(message.error))
    if (message.type !== type) {
      const text = { what: `${this.#channel.peer} sent "${message.type}" where "${type}" was due` }
      throw this.fail("break", new KvError("KV_WIRE_INVALID", text))
    }
    return message as ControlMessageOf<Type>
  }

  /** Runs a check; its error ends the handshake as `event`. */
  check<T>(event: HandshakeEvent, action: () => T): T {
    try {
      return action()
    } catch (thrown) {
      throw thrown instanceof KvError ? this.fail(event, thrown) : thrown
    }
  }

  /** Waits for something else than a message; afterwards the channel must still be there. */
  async during(event: HandshakeEvent, action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (thrown) {
      if (this.#ended === undefined) throw thrown instanceof KvError ? this.fail(event, thrown) : thrown
    }
    if (this.#ended !== undefined) throw this.#arrive(this.#ended)
  }

  /**
   * The last step: from now on the channel is its next owner's.
   * @param key what the peer seals its messages with.
   */
  finish(event: HandshakeEvent, key: Uint8Array): void {
    this.step(event)
    this.#cancelTimer()
    this.#channel.handOver(key)
  }

  /** Ends the handshake; the peer is told why, but for what only concerns our own trust. */
  fail(event: HandshakeEvent, error: KvError): KvError {
    this.step(event)
    this.#close(error)
    return error
  }

  #close(error: KvError): void {
    this.#cancelTimer()
    const told =
      error.code === "KV_PEER_UNTRUSTED"
        ? new KvError("KV_PEER_UNTRUSTED", { what: "this agent does not trust the other one" })
        : error
    this.#channel.close(error, told)
  }

  /** Ends the handshake from outside its turns. */
  #giveUp(event: HandshakeEvent, error: KvError): void {
    this.#early.length = 0
    this.#end(event, error)
    this.#close(error)
  }

  #take(received: Received): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) waiting.resolve(received.message)
    else if (this.#early.push(received) > earlyMax) {
      const what = `${this.#channel.peer} sent ${earlyMax} messages out of turn`
      this.#giveUp("break", new KvError("KV_LIMIT", { what }))
    }
  }

  #end(event: HandshakeEvent, error: KvError): void {
    if (this.#ended !== undefined) return
    this.#cancelTimer()
    this.#ended = { event, error }
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) waiting.reject(this.#arrive(this.#ended))
  }

  #arrive({ event, error }: { readonly event: HandshakeEvent; readonly error: KvError }): KvError {
    this.step(event)
    return error
  }

  #refusal(record: KvErrorRecord): KvError {
    const error = kvErrorFromRecord(record, "KV_PEER_REFUSED")
    return error.code === "KV_PEER_UNTRUSTED" ? this.#options.notTrusted() : error
  }
}

import { asKvError, KvError, kvErrorFromRecord } from "../errors/kv-error.ts"
import { type ControlMessage, type ControlMessageOf, noCall } from "../wire/control-messages.ts"
import type { MessageChannel } from "./channel.ts"
import type { Clock } from "./control-network.ts"

/** An answer and the bytes that came behind it. */
export interface Answer<Type extends ControlMessage["type"]> {
  readonly message: ControlMessageOf<Type>
  readonly attachment: Uint8Array
}

/** Until when an answer is waited for, and what ends the wait early. */
export interface CallOptions {
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
  /** Bytes that go behind the question. */
  readonly attachment?: Uint8Array
}

interface Waiting {
  resolve(message: ControlMessage, attachment: Uint8Array): void
  reject(error: KvError): void
}

/** Calls that may wait for an answer at once, and questions of one caller that are answered at once. */
export const callsMax = 4096

/** Questions to one peer and their answers: each has a deadline, and all end when the peer is gone. */
export class Calls {
  readonly #channel: MessageChannel
  readonly #clock: Clock
  readonly #name: string
  readonly #waiting = new Map<number, Waiting>()
  #next = 1
  #lost: KvError | undefined

  /** @param name of the peer, for errors. */
  constructor(channel: MessageChannel, clock: Clock, name: string) {
    this.#channel = channel
    this.#clock = clock
    this.#name = name
  }

  /**
   * Asks, and waits for an answer of one type.
   * @throws KvError KV_DEADLINE, KV_CANCELLED, KV_LIMIT, KV_PEER_LOST, KV_WIRE_INVALID, or what the peer refused with.
   */
  ask<Type extends ControlMessage["type"]>(
    compose: (call: number) => ControlMessage,
    type: Type,
    { deadline, signal, attachment }: CallOptions,
  ): Promise<Answer<Type>> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    if (signal?.aborted === true) return Promise.reject(this.#cancelled())
    if (this.#waiting.size >= callsMax) {
      const what = `${callsMax} calls to ${this.#name} wait already`
      return Promise.reject(new KvError("KV_LIMIT", { what }))
    }
    const call = this.#next++
    const waited = Math.max(0, deadline - this.#clock.now())
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiting.delete(call)
        cancelTimer()
        signal?.removeEventListener("abort", cancel)
      }
      const fail = (error: KvError): void => {
        settle()
        reject(error)
      }
      const cancel = (): void => fail(this.#cancelled())
      const cancelTimer = this.#clock.after(waited, () => {
        const what = `${this.#name} did not answer within ${Math.round(waited)} ms`
        fail(new KvError("KV_DEADLINE", { what, next: "check whether that worker is overloaded or stopped" }))
      })
      signal?.addEventListener("abort", cancel, { once: true })
      this.#waiting.set(call, {
        resolve: (message, bytes) => {
          settle()
          if (message.type === type)
            resolve({ message: message as ControlMessageOf<Type>, attachment: bytes })
          else reject(this.unexpected(message.type))
        },
        reject: fail,
      })
      try {
        this.#channel.send(compose(call), attachment)
      } catch (thrown) {
        // More than a frame can hold: nobody will answer what was never asked.
        fail(asKvError(thrown, "KV_INTERNAL", "a call could not be sent"))
      }
    })
  }

  /** Takes an answer. Returns an error when it ends the relation to the peer. */
  take(message: ControlMessage, attachment: Uint8Array): KvError | undefined {
    if (!("call" in message)) return this.unexpected(message.type)
    // An answer to a call whose deadline has passed finds nobody: that is no fault of the peer.
    const waiting = this.#waiting.get(message.call)
    if (message.type !== "refused") {
      waiting?.resolve(message, attachment)
      return undefined
    }
    const error = kvErrorFromRecord(message.error, "KV_PEER_REFUSED")
    if (message.call === noCall) return error
    waiting?.reject(error)
    return undefined
  }

  /** Ends every call, those that wait and those to come. */
  end(error: KvError): void {
    this.#lost ??= error
    for (const waiting of [...this.#waiting.values()]) waiting.reject(this.#lost)
  }

  unexpected(type: string): KvError {
    return new KvError("KV_WIRE_INVALID", { what: `${this.#name} sent "${type}" where it has no place` })
  }

  #cancelled(): KvError {
    return new KvError("KV_CANCELLED", { what: `a call to ${this.#name} was cancelled` })
  }
}

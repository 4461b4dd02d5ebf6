import { KvError, kvErrorFromRecord } from "../errors/kv-error.ts"
import type { Connection, Session } from "../transport/transport.ts"
import type { Card } from "../wire/card.ts"
import { type ControlMessage, noCall } from "../wire/control-messages.ts"
import type { MessageChannel } from "./channel.ts"
import type { ChosenPath } from "./choose-path.ts"
import type { Clock } from "./control-network.ts"

/** A granted claim: where the source keeps the sequence, and the hashes it had when it was sealed. */
export interface Grant {
  readonly tokens: number
  readonly blocks: Uint32Array
  /** One hash for each (layer, block position); empty when the source made none. */
  readonly fingerprints: BigUint64Array
}

interface Call {
  resolve(answer: { message: ControlMessage; attachment: Uint8Array }): void
  reject(error: KvError): void
}

/** Calls that may wait for an answer at once. */
const callsMax = 4096

/** A peer that we called: its card, the channel to it, and the connection that moves bytes. */
export class Peer {
  readonly card: Card
  readonly path: ChosenPath
  readonly connection: Connection
  readonly session: Session
  readonly #channel: MessageChannel
  readonly #clock: Clock
  readonly #calls = new Map<number, Call>()
  readonly #onLost: () => void
  #nextCall = 1
  #lost: KvError | undefined

  constructor(
    greeted: { readonly card: Card; readonly session: Session },
    channel: MessageChannel,
    path: ChosenPath,
    connection: Connection,
    clock: Clock,
    onLost: () => void,
  ) {
    this.card = greeted.card
    this.session = greeted.session
    this.path = path
    this.connection = connection
    this.#channel = channel
    this.#clock = clock
    this.#onLost = onLost
    channel.listen(
      ({ message, attachment }) => this.#take(message, attachment),
      (error) => this.#end(error),
    )
    connection.lost.then((error) => {
      const why = {
        what: `the ${path.endpoint.transport} connection to ${this.card.agentId} is gone`,
        why: error.message,
      }
      this.close(new KvError("KV_PEER_LOST", why))
    })
  }

  /** Why the peer is gone; undefined while it is there. */
  get lost(): KvError | undefined {
    return this.#lost
  }

  /** Claims a lease. @throws KvError KV_LEASE_UNKNOWN, KV_PEER_LOST, KV_DEADLINE, KV_CANCELLED. */
  async claim(lease: string, deadline: number, signal?: AbortSignal): Promise<Grant> {
    checkLease(lease)
    const answer = await this.#ask((call) => ({ type: "claim", call, lease }), deadline, signal)
    if (answer.message.type !== "granted") throw this.#unexpected(answer.message)
    const { attachment } = answer
    return {
      tokens: answer.message.tokens,
      blocks: Uint32Array.from(answer.message.blocks),
      fingerprints: new BigUint64Array(attachment.buffer, attachment.byteOffset, attachment.byteLength >> 3),
    }
  }

  /** Gives a lease back. Rejects with KV_LEASE_UNKNOWN when it was not in force any more. */
  async release(lease: string, deadline: number, signal?: AbortSignal): Promise<void> {
    checkLease(lease)
    const answer = await this.#ask((call) => ({ type: "release", call, lease }), deadline, signal)
    if (answer.message.type !== "released") throw this.#unexpected(answer.message)
  }

  /** Ends the relation; the peer's calls fail, and its connection is closed. */
  close(error?: KvError): void {
    this.#channel.close(error)
    this.#end(error ?? new KvError("KV_PEER_LOST", { what: `this side left ${this.card.agentId}` }))
  }

  #ask(
    compose: (call: number) => ControlMessage,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<{ message: ControlMessage; attachment: Uint8Array }> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    if (signal?.aborted === true) return Promise.reject(this.#cancelled())
    if (this.#calls.size >= callsMax) {
      return Promise.reject(
        new KvError("KV_LIMIT", { what: `${callsMax} calls to ${this.card.agentId} wait already` }),
      )
    }
    const call = this.#nextCall++
    const waited = Math.max(0, deadline - this.#clock.now())
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#calls.delete(call)
        cancelTimer()
        signal?.removeEventListener("abort", cancel)
      }
      const fail = (error: KvError): void => {
        settle()
        reject(error)
      }
      const cancel = (): void => fail(this.#cancelled())
      const cancelTimer = this.#clock.after(waited, () => {
        const what = `${this.card.agentId} did not answer within ${Math.round(waited)} ms`
        fail(new KvError("KV_DEADLINE", { what, next: "check whether that worker is overloaded or stopped" }))
      })
      signal?.addEventListener("abort", cancel, { once: true })
      this.#calls.set(call, {
        resolve: (answer) => {
          settle()
          resolve(answer)
        },
        reject: fail,
      })
      this.#channel.send(compose(call))
    })
  }

  #take(message: ControlMessage, attachment: Uint8Array): void {
    if (!("call" in message)) return this.close(this.#unexpected(message))
    // An answer to a call whose deadline has passed finds nobody: that is no fault of the peer.
    const call = this.#calls.get(message.call)
    if (message.type === "refused") {
      const error = kvErrorFromRecord(message.error, "KV_PEER_REFUSED")
      if (message.call === noCall) this.close(error)
      else call?.reject(error)
    } else {
      call?.resolve({ message, attachment })
    }
  }

  #cancelled(): KvError {
    return new KvError("KV_CANCELLED", { what: `a call to ${this.card.agentId} was cancelled` })
  }

  #unexpected(message: ControlMessage): KvError {
    return new KvError("KV_WIRE_INVALID", {
      what: `${this.card.agentId} sent "${message.type}" where it has no place`,
    })
  }

  #end(error: KvError): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    for (const call of [...this.#calls.values()]) call.reject(error)
    this.#calls.clear()
    void this.connection[Symbol.asyncDispose]()
    this.#onLost()
  }
}

/** What is no lease at all must not reach the peer: it would take the message for a broken one, and leave us. */
function checkLease(lease: string): void {
  if (/^[0-9a-f]{32}$/.test(lease)) return
  throw new KvError("KV_LEASE_UNKNOWN", { what: `${JSON.stringify(lease.slice(0, 40))} is not a lease` })
}

import { randomBytes } from "node:crypto"
import { KvError, type KvErrorRecord, kvErrorFromRecord } from "../errors/kv-error.ts"
import type { Session } from "../transport/transport.ts"
import type { Card } from "../wire/card.ts"
import { type ControlMessage, type ControlMessageOf, handshakeBytes } from "../wire/control-messages.ts"
import type { MessageChannel, Received } from "./channel.ts"
import { checkCard } from "./check-card.ts"
import type { Clock } from "./control-network.ts"
import { handshakeProof, provesSecret, sessionOf, type Transcript } from "./handshake.ts"

/** Messages that may come before their turn. */
const earlyMax = 64

/** What a handshake ends with: the peer's card, and a session that both sides derived. */
export interface Greeted {
  readonly card: Card
  readonly session: Session
}

/** What this side brings to a handshake. */
export interface GreetOptions {
  readonly card: Card
  readonly secret: Uint8Array
  readonly clock: Clock
  readonly timeoutMillis: number
}

/**
 * The caller's half: proves the secret, checks the listener's proof, and only then shows its card.
 * @throws KvError KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_PEER_LOST, KV_DEADLINE.
 */
export async function greetAsCaller(channel: MessageChannel, options: GreetOptions): Promise<Greeted> {
  const turns = new Turns(channel, options)
  const callerNonce = randomBytes(handshakeBytes.nonce).toString("hex")
  const { agentId, bootId } = options.card
  channel.send({ type: "hello", agentId, bootId, nonce: callerNonce })
  const { nonce: listenerNonce } = await turns.expect("challenge")
  const transcript: Transcript = { callerAgent: agentId, callerBoot: bootId, callerNonce, listenerNonce }
  channel.send({ type: "proof", proof: handshakeProof(options.secret, "caller", transcript) })
  const welcome = await turns.expect("welcome")
  if (!provesSecret(welcome.proof, options.secret, "listener", transcript))
    throw turns.fail(untrusted(`${channel.peer} gave no valid proof`))
  return turns.guard(() => {
    checkCard(options.card, welcome.card)
    channel.send({ type: "present", card: options.card })
    return { card: welcome.card, session: sessionOf(options.secret, transcript) }
  })
}

/**
 * The listener's half: nothing of ours is told before the caller has proven itself.
 *
 * `admit` runs between the proof and the welcome: when the caller reads our addresses, they already let it in.
 * @throws KvError as `greetAsCaller`.
 */
export async function greetAsListener(
  channel: MessageChannel,
  options: GreetOptions & { readonly admit: (session: Session) => Promise<void> },
): Promise<Greeted> {
  const turns = new Turns(channel, options)
  const hello = await turns.expect("hello")
  const listenerNonce = randomBytes(handshakeBytes.nonce).toString("hex")
  channel.send({ type: "challenge", nonce: listenerNonce })
  const transcript: Transcript = {
    callerAgent: hello.agentId,
    callerBoot: hello.bootId,
    callerNonce: hello.nonce,
    listenerNonce,
  }
  const { proof } = await turns.expect("proof")
  if (!provesSecret(proof, options.secret, "caller", transcript))
    throw turns.fail(untrusted(`${channel.peer} gave no valid proof`))
  const session = sessionOf(options.secret, transcript)
  await options.admit(session)
  const ours = handshakeProof(options.secret, "listener", transcript)
  channel.send({ type: "welcome", proof: ours, card: options.card })
  const { card } = await turns.expect("present")
  return turns.guard(() => {
    checkCard(options.card, card)
    return { card, session }
  })
}

/** A conversation in turns, with one deadline over all of it. */
class Turns {
  readonly #channel: MessageChannel
  #waiting: { resolve(message: ControlMessage): void; reject(error: KvError): void } | undefined
  readonly #early: Received[] = []
  #ended: KvError | undefined
  readonly #cancelTimer: () => void

  constructor(channel: MessageChannel, options: GreetOptions) {
    this.#channel = channel
    this.#cancelTimer = options.clock.after(options.timeoutMillis, () => {
      const what = `${channel.peer} did not finish the handshake within ${Math.round(options.timeoutMillis)} ms`
      channel.close(new KvError("KV_DEADLINE", { what }))
    })
    channel.listen(
      (received) => this.#take(received),
      (error) => this.#end(error),
    )
  }

  async expect<Type extends ControlMessage["type"]>(type: Type): Promise<ControlMessageOf<Type>> {
    const message = await new Promise<ControlMessage>((resolve, reject) => {
      const early = this.#early.shift()
      if (early !== undefined) resolve(early.message)
      else if (this.#ended !== undefined) reject(this.#ended)
      else this.#waiting = { resolve, reject }
    })
    if (message.type === "refused") throw this.fail(refusalOf(this.#channel.peer, message.error))
    if (message.type !== type) {
      const text = { what: `${this.#channel.peer} sent "${message.type}" where "${type}" was due` }
      throw this.fail(new KvError("KV_WIRE_INVALID", text))
    }
    return message as ControlMessageOf<Type>
  }

  /** Runs the last step; its error is told to the peer. */
  guard<T>(action: () => T): T {
    try {
      const result = action()
      this.#cancelTimer()
      this.#channel.handOver(this.#early)
      return result
    } catch (thrown) {
      throw thrown instanceof KvError ? this.fail(thrown) : thrown
    }
  }

  fail(error: KvError): KvError {
    this.#cancelTimer()
    this.#channel.close(error)
    return error
  }

  #take(received: Received): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) waiting.resolve(received.message)
    else if (this.#early.push(received) > earlyMax) {
      this.fail(
        new KvError("KV_LIMIT", { what: `${this.#channel.peer} sent ${earlyMax} messages out of turn` }),
      )
    }
  }

  #end(error: KvError): void {
    this.#cancelTimer()
    this.#ended = error
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }
}

/** What the peer refused us for. That it does not trust us is told from our side: its words name us, not it. */
function refusalOf(peer: string, record: KvErrorRecord): KvError {
  const error = kvErrorFromRecord(record, "KV_PEER_REFUSED")
  return error.code === "KV_PEER_UNTRUSTED" ? untrusted(`${peer} did not accept our proof`) : error
}

function untrusted(what: string): KvError {
  return new KvError("KV_PEER_UNTRUSTED", {
    what: `${what} of the cluster's secret`,
    why: "the two agents were started with different secrets",
    next: "start both with the same KVFERRY_SECRET_FILE",
  })
}

import assert from "node:assert/strict"
import { KvError } from "../errors/kv-error.ts"
import type { Session } from "../transport/transport.ts"
import type { Card } from "../wire/card.ts"
import type { ControlMessage, ControlMessageOf } from "../wire/control-messages.ts"
import type { Proof } from "../wire/handshake-messages.ts"
import { cardOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import { type AuthenticatedPeer, type Credentials, checkCredentials } from "./credentials.ts"
import { type Greeted, type GreetOptions, greetAsCaller, greetAsListener } from "./greet.ts"
import { callerWords, listenerWords, type Opened, openSession, prove, type Transcript } from "./handshake.ts"
import type { HandshakeTransition } from "./handshake-state.ts"
import { delivered, FakeClock, openPipe, type PipeEnd } from "./in-memory.test.kit.ts"
import { ephemeralOf } from "./key-pairs.ts"
import { keyOf } from "./vouch.ts"

export const isKv = (code: string) => (error: unknown) => {
  assert.ok(error instanceof KvError, String(error))
  assert.equal(error.code, code, error.message)
  return true
}

const theirBoot = "cd".repeat(16)
const theirNonce = "ab".repeat(32)
const theirEphemeral = ephemeralOf(new Uint8Array(32).fill(5))

/** The other side, as the test plays it: what it hears is kept, what it says is up to the test. */
export class Actor {
  readonly heard: ControlMessage[] = []
  readonly channel: MessageChannel
  readonly end: PipeEnd
  readonly credentials: Credentials
  readonly card: Card = cardOf("theirs", { bootId: theirBoot })

  constructor(end: PipeEnd, credentials: Credentials) {
    this.end = end
    this.credentials = credentials
    this.channel = new MessageChannel(end)
    this.channel.listen(
      ({ message }) => this.heard.push(message),
      () => {},
    )
  }

  async say(...messages: ControlMessage[]): Promise<void> {
    for (const message of messages) this.channel.send(message)
    await delivered()
  }

  /** The last message of a kind. */
  last<T extends ControlMessage["type"]>(type: T): ControlMessageOf<T> {
    const found = this.heard.findLast((message) => message.type === type)
    assert.ok(found !== undefined, `no ${type} among ${this.kinds.join(", ")}`)
    return found as ControlMessageOf<T>
  }

  get kinds(): string[] {
    return this.heard.map(({ type }) => type)
  }

  get #shown(): { publicKey?: string } {
    const publicKey = keyOf(this.credentials)
    return publicKey === undefined ? {} : { publicKey }
  }

  get #opening() {
    const credential = checkCredentials(this.credentials)
    return { credential, nonce: theirNonce, ephemeral: theirEphemeral.publicKey }
  }

  /** What an honest caller says first. */
  get hello(): ControlMessageOf<"hello"> {
    return { type: "hello", versions: [2], ...this.#opening, agentId: "theirs", bootId: theirBoot }
  }

  /** What an honest listener answers. */
  get challenge(): ControlMessageOf<"challenge"> {
    return { type: "challenge", version: 2, ...this.#opening, ...this.#shown }
  }

  get callerProof(): ControlMessageOf<"proof"> {
    const proof = prove(this.credentials, "caller", callerWords(this.#asCaller()))
    return { type: "proof", ...this.#shown, proof }
  }

  get welcome(): ControlMessageOf<"welcome"> {
    const words = listenerWords(this.#asListener(), this.last("proof").proof, this.card)
    return { type: "welcome", proof: prove(this.credentials, "listener", words), card: this.card }
  }

  get present(): ControlMessageOf<"present"> {
    return { type: "present", seal: this.#opened(this.callerProof.proof).sealOf(this.card), card: this.card }
  }

  #opened(proof: Proof): Opened {
    const shared = theirEphemeral.agree(this.last("challenge").ephemeral)!
    return openSession(
      shared,
      this.credentials.secret,
      listenerWords(this.#asCaller(), proof, this.last("welcome").card),
    )
  }

  #asCaller(): Transcript {
    const { nonce, ephemeral, publicKey } = this.last("challenge")
    return {
      versions: [2],
      credential: this.#opening.credential,
      callerAgent: "theirs",
      callerBoot: theirBoot,
      callerNonce: theirNonce,
      callerEphemeral: theirEphemeral.publicKey,
      callerKey: keyOf(this.credentials) ?? "",
      listenerNonce: nonce,
      listenerEphemeral: ephemeral,
      listenerKey: publicKey ?? "",
    }
  }

  #asListener(): Transcript {
    const { versions, agentId, bootId, nonce, ephemeral } = this.last("hello")
    return {
      versions,
      credential: this.#opening.credential,
      callerAgent: agentId,
      callerBoot: bootId,
      callerNonce: nonce,
      callerEphemeral: ephemeral,
      callerKey: this.last("proof").publicKey ?? "",
      listenerNonce: theirNonce,
      listenerEphemeral: theirEphemeral.publicKey,
      listenerKey: keyOf(this.credentials) ?? "",
    }
  }
}

/** One side of a handshake, and the actor that it talks with. */
export interface Scene {
  readonly clock: FakeClock
  readonly actor: Actor
  /** The end that the tested side holds. */
  readonly end: PipeEnd
  readonly greeted: Promise<Greeted>
  readonly admitted: { readonly session: Session; readonly peer: AuthenticatedPeer }[]
  readonly steps: HandshakeTransition[]
}

/** How a scene is set. */
export interface SceneOptions {
  readonly ours: Credentials
  readonly theirs: Credentials
  readonly admit?: () => Promise<void>
  readonly card?: Card
}

/** Starts one side of a handshake against an actor. */
export async function meet(side: "caller" | "listener", options: SceneOptions): Promise<Scene> {
  const { ours, theirs, admit, card = cardOf("ours") } = options
  const clock = new FakeClock()
  const [end, other] = openPipe()
  const actor = new Actor(other, theirs)
  const admitted: Scene["admitted"] = []
  const steps: HandshakeTransition[] = []
  const greeting: GreetOptions = {
    card,
    credentials: ours,
    clock,
    timeoutMillis: 500,
    onStep: (from, event, to) => steps.push({ from, event, to }),
  }
  const channel = new MessageChannel(end)
  const greeted =
    side === "caller"
      ? greetAsCaller(channel, greeting)
      : greetAsListener(channel, {
          ...greeting,
          admit: async (session, peer) => {
            admitted.push({ session, peer })
            await admit?.()
          },
        })
  greeted.catch(() => {})
  await delivered()
  return { clock, actor, end, greeted, admitted, steps }
}

/** The handshake failed, the channel is closed, and no timer is left. */
export async function assertFails({ greeted, clock, end }: Scene, code: string): Promise<KvError> {
  let failure: unknown
  await assert.rejects(greeted, (error) => {
    failure = error
    return isKv(code)(error)
  })
  await delivered()
  assert.equal(end.closed, true, "the channel is closed")
  assert.equal(clock.waiting, 0, "no timer is left")
  return failure as KvError
}

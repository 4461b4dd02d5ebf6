import { type Credentials, checkCredentials } from "../../agent/credentials.ts"
import { callerWords, listenerWords, openSession, prove, type Transcript } from "../../agent/handshake.ts"
import { type Ephemeral, ephemeralOf } from "../../agent/key-pairs.ts"
import { keyOf } from "../../agent/vouch.ts"
import type { Card } from "../../wire/card.ts"
import type { ControlMessage, ControlMessageOf } from "../../wire/control-messages.ts"
import type { CredentialKind } from "../../wire/handshake-messages.ts"
import type { Random } from "../random.ts"

/** Whom a stranger says that it is. */
export interface Mask {
  readonly credentials: Credentials
  readonly card: Card
}

const hexOf = (random: Random, bytes: number): string =>
  Buffer.from(Uint8Array.from({ length: bytes }, () => random.below(256))).toString("hex")

/** The right words of each turn of a handshake, to be said, or to be spoilt first. */
export class Lines {
  readonly mask: Mask
  readonly #nonce: string
  readonly #ephemeral: Ephemeral
  readonly #kind: CredentialKind

  constructor(mask: Mask, random: Random) {
    this.mask = mask
    this.#nonce = hexOf(random, 32)
    this.#ephemeral = ephemeralOf(Buffer.from(hexOf(random, 32), "hex"))
    this.#kind = checkCredentials(mask.credentials)
  }

  get #shown(): { readonly publicKey?: string } {
    const publicKey = keyOf(this.mask.credentials)
    return publicKey === undefined ? {} : { publicKey }
  }

  get hello(): ControlMessageOf<"hello"> {
    const { agentId, bootId } = this.mask.card
    const opening = { credential: this.#kind, nonce: this.#nonce, ephemeral: this.#ephemeral.publicKey }
    return { type: "hello", versions: [2], ...opening, agentId, bootId }
  }

  get challenge(): ControlMessageOf<"challenge"> {
    const opening = { credential: this.#kind, nonce: this.#nonce, ephemeral: this.#ephemeral.publicKey }
    return { type: "challenge", version: 2, ...opening, ...this.#shown }
  }

  /** The caller's proof, once the challenge is known. */
  proof(challenge: ControlMessageOf<"challenge">): ControlMessageOf<"proof"> {
    const words = callerWords(this.#asCaller(challenge))
    return { type: "proof", ...this.#shown, proof: prove(this.mask.credentials, "caller", words) }
  }

  /** The listener's answer to a proof. */
  welcome(hello: ControlMessageOf<"hello">, proof: ControlMessageOf<"proof">): ControlMessageOf<"welcome"> {
    const { card, credentials } = this.mask
    const transcript: Transcript = {
      ...fromHello(hello),
      callerKey: proof.publicKey ?? "",
      listenerNonce: this.#nonce,
      listenerEphemeral: this.#ephemeral.publicKey,
      listenerKey: keyOf(credentials) ?? "",
    }
    const words = listenerWords(transcript, proof.proof, card)
    return { type: "welcome", proof: prove(credentials, "listener", words), card }
  }

  /** The caller's card, sealed. */
  present(heard: {
    readonly challenge: ControlMessageOf<"challenge">
    readonly welcome: ControlMessageOf<"welcome">
    readonly card: Card
  }): ControlMessageOf<"present"> {
    const { challenge, welcome, card } = heard
    const words = listenerWords(this.#asCaller(challenge), this.proof(challenge).proof, welcome.card)
    const shared = this.#ephemeral.agree(challenge.ephemeral)
    if (shared === undefined) throw new Error("an agent's ephemeral key leaves a secret")
    const { sealOf } = openSession(shared, this.mask.credentials.secret, words)
    return { type: "present", seal: sealOf(card), card }
  }

  #asCaller({ nonce, ephemeral, publicKey }: ControlMessageOf<"challenge">): Transcript {
    return {
      ...fromHello(this.hello),
      callerKey: keyOf(this.mask.credentials) ?? "",
      listenerNonce: nonce,
      listenerEphemeral: ephemeral,
      listenerKey: publicKey ?? "",
    }
  }
}

const fromHello = (hello: ControlMessageOf<"hello">) => ({
  versions: hello.versions,
  credential: hello.credential,
  callerAgent: hello.agentId,
  callerBoot: hello.bootId,
  callerNonce: hello.nonce,
  callerEphemeral: hello.ephemeral,
})

/** Ways to go wrong in one's turn. */
export const manners = [
  "silence",
  "garbage",
  "leave",
  "say and leave",
  "refuse",
  "lie",
  "eager",
  "flood",
  "cut short",
] as const
export type Manner = (typeof manners)[number]

/** The words of a turn, spoilt: not what is due, though it can be read. */
export function lied(message: ControlMessage, mask: Mask, random: Random): ControlMessage {
  const otherKind = (kind: CredentialKind): CredentialKind => (kind === "secret" ? "key" : "secret")
  /** A point of small order: it agrees with everybody on zeros. */
  const nothing = "00".repeat(32)
  switch (message.type) {
    case "hello":
    case "challenge":
      return random.chance(0.5)
        ? { ...message, credential: otherKind(message.credential) }
        : { ...message, ephemeral: nothing }
    case "proof":
    case "welcome": {
      if (message.type === "welcome" && random.chance(0.5)) return message
      const { mac, signature } = message.proof
      const proof = {
        ...(mac === undefined ? {} : { mac: flipped(mac) }),
        ...(signature === undefined ? {} : { signature: flipped(signature) }),
      }
      return { ...message, proof }
    }
    case "present":
      return random.chance(0.5)
        ? { ...message, seal: flipped(message.seal) }
        : { ...message, card: { ...mask.card, agentId: "somebody-else" } }
    default:
      return message
  }
}

/** Hexadecimal digits of which the first is another one. */
const flipped = (digits: string): string => (digits.startsWith("0") ? "1" : "0") + digits.slice(1)

import { randomBytes } from "node:crypto"
import { KvError } from "../errors/kv-error.ts"
import type { Session } from "../transport/transport.ts"
import type { Card } from "../wire/card.ts"
import { handshakeBytes, handshakeVersion } from "../wire/handshake-messages.ts"
import type { MessageChannel } from "./channel.ts"
import { checkCard } from "./check-card.ts"
import type { Clock } from "./control-network.ts"
import { type AuthenticatedPeer, type Credentials, checkCredentials } from "./credentials.ts"
import { callerWords, listenerWords, openSession, prove, provenBy } from "./handshake.ts"
import type { HandshakeEvent, HandshakeState } from "./handshake-state.ts"
import { type Ephemeral, ephemeralOf } from "./key-pairs.ts"
import { Turns } from "./turns.ts"
import { badProof, keyOf, otherKind, refusedUs, vouchFor } from "./vouch.ts"

/** What a handshake ends with: the peer's card, who it is, and a session that both sides derived. */
export interface Greeted {
  readonly card: Card
  readonly session: Session
  readonly peer: AuthenticatedPeer
}

/** What this side brings to a handshake. */
export interface GreetOptions {
  readonly card: Card
  readonly credentials: Credentials
  readonly clock: Clock
  readonly timeoutMillis: number
  /** The card that a caller shows instead, made from the listener's: one who only looks fits every model. */
  readonly mirror?: (theirs: Card) => Card
  /** Where nonces and ephemeral keys come from, when not from the system: a simulation that must replay. */
  readonly random?: (bytes: number) => Uint8Array
  /** Told of each step of `nextHandshakeState`. */
  readonly onStep?: (from: HandshakeState, event: HandshakeEvent, to: HandshakeState) => void
}

/**
 * The caller's half: proves itself to a listener whose key it trusts, checks the listener's proof, and only then
 * shows its card.
 * @throws KvError KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_PEER_LOST, KV_WIRE_INVALID, KV_LIMIT, KV_DEADLINE.
 */
export async function greetAsCaller(channel: MessageChannel, options: GreetOptions): Promise<Greeted> {
  const { card, credentials, clock } = options
  const ours = openingOf(options)
  const turns = new Turns(
    channel,
    { ...options, notTrusted: () => refusedUs(channel.peer, credentials) },
    "call",
  )
  const { credential, nonce, ephemeral } = ours
  const { agentId, bootId } = card
  const hello = {
    versions: [handshakeVersion],
    credential,
    agentId,
    bootId,
    nonce,
    ephemeral: ephemeral.publicKey,
  }
  channel.send({ type: "hello", ...hello })

  const challenge = await turns.expect("challenge")
  if (challenge.credential !== credential)
    throw turns.fail("mismatch", otherKind(channel.peer, challenge.credential, credentials))
  const shared = turns.check("break", () => agree(channel.peer, ephemeral, challenge.ephemeral))
  const peer = turns.check("distrust", () =>
    vouchFor(credentials, challenge.publicKey, channel.peer, clock.wallMillis()),
  )
  const transcript = {
    ...transcriptOfHello(hello),
    callerKey: keyOf(credentials) ?? "",
    listenerNonce: challenge.nonce,
    listenerEphemeral: challenge.ephemeral,
    listenerKey: challenge.publicKey ?? "",
  }
  turns.step("challenge")
  const proof = prove(credentials, "caller", callerWords(transcript))
  channel.send({ type: "proof", ...shownKey(credentials), proof })

  const welcome = await turns.expect("welcome")
  const words = listenerWords(transcript, proof, welcome.card)
  const expected = { secret: credentials.secret, publicKey: peer.publicKey }
  if (!provenBy(welcome.proof, expected, "listener", words))
    throw turns.fail("distrust", badProof(channel.peer, credentials))
  turns.step("welcome")
  const shown = options.mirror?.(welcome.card) ?? card
  turns.check("misfit", () => checkCard(shown, welcome.card))
  const { session, frameKeys, sealOf } = openSession(shared, credentials.secret, words)
  channel.send({ type: "present", seal: sealOf(shown), card: shown })
  channel.seal(frameKeys.caller)
  turns.finish("fit", frameKeys.listener)
  return { card: welcome.card, session, peer }
}

/**
 * The listener's half: a stranger learns that an agent listens, the kind of credential that it wants, and its public
 * key if it has one. Nothing else of ours is told before the caller has proven itself.
 *
 * `admit` runs between the proof and the welcome: when the caller asks for addresses, they already let it in.
 * @throws KvError as `greetAsCaller`.
 */
export async function greetAsListener(
  channel: MessageChannel,
  options: GreetOptions & { readonly admit: (session: Session, peer: AuthenticatedPeer) => Promise<void> },
): Promise<Greeted> {
  const { card, credentials, clock } = options
  const ours = openingOf(options)
  const turns = new Turns(channel, { ...options, notTrusted: () => refusedUs(channel.peer, credentials) })
  const { credential, nonce, ephemeral } = ours

  const hello = await turns.expect("hello")
  if (hello.credential !== credential)
    throw turns.fail("mismatch", otherKind(channel.peer, hello.credential, credentials))
  const shared = turns.check("break", () => agree(channel.peer, ephemeral, hello.ephemeral))
  turns.step("hello")
  const opening = { version: handshakeVersion, credential, nonce, ephemeral: ephemeral.publicKey }
  channel.send({ type: "challenge", ...opening, ...shownKey(credentials) })

  const { proof, publicKey } = await turns.expect("proof")
  const peer = turns.check("distrust", () =>
    vouchFor(credentials, publicKey, channel.peer, clock.wallMillis()),
  )
  const transcript = {
    ...transcriptOfHello(hello),
    callerKey: publicKey ?? "",
    listenerNonce: nonce,
    listenerEphemeral: ephemeral.publicKey,
    listenerKey: keyOf(credentials) ?? "",
  }
  const expected = { secret: credentials.secret, publicKey: peer.publicKey }
  if (!provenBy(proof, expected, "caller", callerWords(transcript)))
    throw turns.fail("distrust", badProof(channel.peer, credentials))
  turns.step("proof")
  const words = listenerWords(transcript, proof, card)
  const { session, frameKeys, seals } = openSession(shared, credentials.secret, words)
  await turns.during("misfit", () => options.admit(session, peer))
  turns.step("admit")
  channel.send({ type: "welcome", proof: prove(credentials, "listener", words), card })
  channel.seal(frameKeys.listener)

  const present = await turns.expect("present")
  if (!seals(present.seal, present.card)) throw turns.fail("distrust", badProof(channel.peer, credentials))
  turns.check("break", () => checkSameAgent(channel.peer, hello, present.card))
  turns.check("misfit", () => checkCard(card, present.card))
  turns.finish("present", frameKeys.caller)
  return { card: present.card, session, peer }
}

function openingOf({ credentials, random = randomBytes }: GreetOptions) {
  return {
    credential: checkCredentials(credentials),
    nonce: Buffer.from(random(handshakeBytes.nonce)).toString("hex"),
    ephemeral: ephemeralOf(random(handshakeBytes.ephemeral)),
  }
}

const shownKey = (credentials: Credentials): { readonly publicKey?: string } => {
  const publicKey = keyOf(credentials)
  return publicKey === undefined ? {} : { publicKey }
}

const transcriptOfHello = (hello: {
  readonly versions: readonly number[]
  readonly credential: AuthenticatedPeer["how"]
  readonly agentId: string
  readonly bootId: string
  readonly nonce: string
  readonly ephemeral: string
}) => ({
  versions: hello.versions,
  credential: hello.credential,
  callerAgent: hello.agentId,
  callerBoot: hello.bootId,
  callerNonce: hello.nonce,
  callerEphemeral: hello.ephemeral,
})

function agree(who: string, ephemeral: Ephemeral, publicKey: string): Uint8Array {
  const shared = ephemeral.agree(publicKey)
  if (shared !== undefined) return shared
  throw new KvError("KV_WIRE_INVALID", { what: `${who} sent an ephemeral key that leaves nothing secret` })
}

function checkSameAgent(
  who: string,
  hello: { readonly agentId: string; readonly bootId: string },
  card: Card,
): void {
  if (hello.agentId === card.agentId && hello.bootId === card.bootId) return
  throw new KvError("KV_WIRE_INVALID", {
    what: `${who} presented the card of another agent than its hello named`,
  })
}

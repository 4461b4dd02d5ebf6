import { KvError } from "../errors/kv-error.ts"
import { blocksFor } from "../kv/kv-layout.ts"
import { strongerIntegrity } from "../receipt/receipt.ts"
import type { Card } from "../wire/card.ts"
import { frameLimits } from "../wire/control-frame.ts"
import type { CallMessage, ControlMessage } from "../wire/control-messages.ts"
import type { Grant, GrantDirection } from "../wire/grant.ts"
import { callsMax } from "./calls.ts"
import { type MessageChannel, type Received, refusalRecord } from "./channel.ts"
import { FewAtOnce } from "./few-at-once.ts"
import type { LeaseBook } from "./lease-book.ts"
import { type LocalCache, sequenceOf } from "./local-cache.ts"
import { checkSameHeads, needsHashes, proveHashes } from "./proof.ts"

/** What a caller says that is no question: a notification, or the note at the end of a lease. */
export interface Notice {
  /** What the sender calls itself. Any peer may take any name: for messages to people, never to decide by. */
  readonly from: string
  /** Our operator's name for the key that the sender proved, from the trust file. Absent where that names none. */
  readonly name?: string
  /** The sender's word too; new whenever it starts. */
  readonly bootId: string
  readonly text: string
  readonly attachment: Uint8Array
  /** The lease that ended with it; absent for a notification of its own. */
  readonly lease?: string
}

/** What a caller is served from. */
export interface CallerParts {
  readonly card: Card
  /** The operator's name for the key that the caller proved. */
  readonly name?: string | undefined
  readonly session: string
  readonly channel: MessageChannel
  readonly leases: LeaseBook
  readonly cache: LocalCache
  readonly epochOf: (block: number) => number
  readonly holdMillis: number
  /** A caller that is silent for that long is taken for dead. */
  readonly silenceMillis: number
  /** Decides on a grant and opens the fabrics for it. @throws KvError KV_PEER_UNTRUSTED. */
  readonly grant: (direction: GrantDirection) => Promise<Grant>
  readonly onNotice: (notice: Notice) => void
  /** The caller is gone. */
  readonly onGone: () => void
}

/** A peer that called us, from the end of its handshake on: its questions, answered one by one. */
export class Caller {
  readonly #parts: CallerParts
  readonly #gone = new AbortController()
  #cancelSilence: () => void = () => {}
  #answering = 0
  /** Bytes behind the calls that are being answered. */
  #heldBytes = 0
  readonly #hashing = new FewAtOnce(hashingMax)
  readonly #proving = new Set<string>()
  /** Leases whose bytes were found wrong, and how often. */
  readonly #failedProofs = new Map<string, number>()

  constructor(parts: CallerParts) {
    this.#parts = parts
    // Before it listens: a caller may be gone already, and then no timer is left behind.
    this.#heard()
    parts.channel.listen(
      (received) => this.#hear(received),
      () => {
        this.#cancelSilence()
        this.#gone.abort()
        parts.onGone()
      },
    )
  }

  /** Ends the relation, telling the caller why. */
  close(error?: KvError): void {
    this.#parts.channel.close(error)
  }

  #heard(): void {
    const { cache, silenceMillis, card } = this.#parts
    this.#cancelSilence()
    this.#cancelSilence = cache.clock.after(silenceMillis, () => {
      const what = `${card.agentId} has given no sign of life for ${silenceMillis} ms`
      this.close(new KvError("KV_PEER_LOST", { what }))
    })
  }

  #hear({ message, attachment }: Received): void {
    this.#heard()
    if (message.type === "notify") return this.#note(message.text, attachment)
    if (!isCall(message)) {
      const what = `"${message.type}" has no place after the handshake`
      return this.close(new KvError("KV_WIRE_INVALID", { what }))
    }
    if (attachment.byteLength > 0 && message.type !== "landed") {
      const what = `"${message.type}" came with ${attachment.byteLength} bytes behind it, where none have a place`
      return this.close(new KvError("KV_WIRE_INVALID", { what }))
    }
    if (this.#heldBytes + attachment.byteLength > heldBytesMax) {
      const what = `hashes of more than ${heldBytesMax} bytes wait to be compared for one caller`
      return this.close(new KvError("KV_LIMIT", { what }))
    }
    if (this.#answering >= callsMax) {
      const what = `${callsMax} calls of ${this.#parts.card.agentId} are being answered already`
      return this.close(new KvError("KV_LIMIT", { what }))
    }
    this.#answering += 1
    this.#heldBytes += attachment.byteLength
    this.#answer(message, attachment)
      .catch((thrown: unknown) => {
        if (!(thrown instanceof KvError)) throw thrown
        this.#parts.channel.send({ type: "refused", call: message.call, error: refusalRecord(thrown) })
      })
      .finally(() => {
        this.#answering -= 1
        this.#heldBytes -= attachment.byteLength
      })
  }

  async #answer(message: CallMessage, attachment: Uint8Array): Promise<void> {
    const { channel, leases, session, holdMillis } = this.#parts
    const { call } = message
    switch (message.type) {
      case "ask-grant":
        return channel.send({ type: "grant", call, grant: await this.#parts.grant(message.direction) })
      case "claim": {
        const { tokens, blocks, access } = leases.claim(message.lease, session)
        const epochs = Array.from(blocks, (block) => this.#parts.epochOf(block))
        return channel.send({
          type: "granted",
          call,
          tokens,
          blocks: [...blocks],
          epochs,
          access,
          holdMillis,
        })
      }
      case "seals":
        return this.#hashing.run(() => this.#sendSeals(call, message.lease))
      case "renew":
        return channel.send({ type: "renewed", call, ended: leases.renew(message.leases, session) })
      case "release":
        leases.release(message.lease, session)
        this.#failedProofs.delete(message.lease)
        if (message.note !== undefined) this.#note(message.note, new Uint8Array(0), message.lease)
        return channel.send({ type: "released", call })
      case "landed":
        return this.#hashing.run(() => this.#proveOnce(message, attachment))
    }
  }

  async #sendSeals(call: number, lease: string): Promise<void> {
    const { cache, channel, leases, session } = this.#parts
    const { blocks, tokens } = leases.held(lease, session)
    const hashes = await cache.seals.seal(sequenceOf(cache, blocks, tokens))
    // It may have ended while we hashed: then the hashes may be those of the next owner's bytes.
    leases.held(lease, session)
    const bytes = new Uint8Array(hashes.buffer, hashes.byteOffset, hashes.byteLength)
    channel.send({ type: "sealed", call, unitTokens: cache.layout.blockTokens }, bytes)
  }

  /** One proof at a time for a lease, and few that fail: to hash is work, and who asks for it in vain may ask for ever. */
  async #proveOnce(message: Extract<CallMessage, { type: "landed" }>, attachment: Uint8Array): Promise<void> {
    const { lease } = message
    const failed = this.#failedProofs.get(lease) ?? 0
    if (this.#proving.has(lease) || failed >= failedProofsMax) {
      throw new KvError("KV_LIMIT", {
        what: `lease ${lease.slice(0, 8)}… is ${failed >= failedProofsMax ? "not proven" : "being proven"}`,
        why: `its bytes are compared once at a time, and ${failedProofsMax} times in vain at most`,
        next: "release the lease, and ask for another",
      })
    }
    this.#proving.add(lease)
    try {
      await this.#prove(message, attachment)
      this.#failedProofs.delete(lease)
    } catch (thrown) {
      if (thrown instanceof KvError && thrown.code === "KV_BYTES_DIFFER")
        this.#failedProofs.set(lease, failed + 1)
      throw thrown
    } finally {
      this.#proving.delete(lease)
    }
  }

  /** A writer says that its bytes are in place: they are compared with its hashes before the blocks are ours again. */
  async #prove(message: Extract<CallMessage, { type: "landed" }>, attachment: Uint8Array): Promise<void> {
    const { cache, card, channel, leases, session } = this.#parts
    const { blocks, tokens, access } = leases.held(message.lease, session)
    if (access !== "write" || tokens !== message.tokens) {
      throw new KvError("KV_PEER_REFUSED", {
        what: `${message.tokens} tokens are said to have landed; the lease is for ${tokens}, to ${access}`,
        next: "report this: the two sides disagree about one request",
      })
    }
    const level = strongerIntegrity(message.level, cache.integrityFloor)
    const deadline = cache.clock.now() + proofMillisMax
    const found = { hashesChecked: 0, difference: undefined, deadline, signal: this.#gone.signal }
    if (needsHashes(level)) {
      checkSameHeads(card.layout, cache.layout, level)
      const expected = new BigUint64Array(
        attachment.buffer,
        attachment.byteOffset,
        attachment.byteLength >> 3,
      )
      await proveHashes(found, expected, {
        level,
        sequence: sequenceOf(cache, blocks, tokens),
        unitTokens: card.layout.blockTokens,
        hasher: cache.hasher,
        random: (below) => cache.random(below),
        clock: cache.clock,
      })
    }
    leases.land(message.lease, session)
    if (message.note !== undefined) this.#note(message.note, new Uint8Array(0), message.lease)
    channel.send({ type: "proven", call: message.call, checked: found.hashesChecked })
  }

  #note(text: string, attachment: Uint8Array, lease?: string): void {
    const { name, card } = this.#parts
    const { agentId, bootId } = card
    this.#parts.onNotice({
      from: agentId,
      ...(name === undefined ? {} : { name }),
      bootId,
      text,
      attachment,
      ...(lease === undefined ? {} : { lease }),
    })
  }
}

/** Questions of one caller that make this side hash, at a time; the others wait. */
const hashingMax = 4
/** Times that the bytes of one lease may be found wrong. */
const failedProofsMax = 3
/** Bytes of hashes that may wait for one caller: those of two messages of the longest kind. */
const heldBytesMax = 2 * frameLimits.attachment
/** Longest time in which what a writer left is hashed. */
const proofMillisMax = 600_000

const callTypes = ["ask-grant", "claim", "seals", "landed", "renew", "release"]

const isCall = (message: ControlMessage): message is CallMessage => callTypes.includes(message.type)

/** Blocks that a lease must have for its tokens. @throws KvError KV_USAGE. */
export function checkOffer(blocks: Uint32Array, tokens: number, blockTokens: number): void {
  const wanted = blocksFor(tokens, blockTokens)
  if (Number.isSafeInteger(tokens) && tokens > 0 && blocks.length === wanted) return
  throw new KvError("KV_USAGE", {
    what: `${blocks.length} blocks were lent for ${tokens} tokens`,
    why: `blocks of ${blockTokens} tokens need ${wanted}`,
    next: "lend the blocks that hold the sequence, in its order, and no more",
  })
}

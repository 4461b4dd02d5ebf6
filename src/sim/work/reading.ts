import type { Peer } from "../../agent/peer.ts"
import type { Ticket } from "../../agent/ticket.ts"
import { KvError } from "../../errors/kv-error.ts"
import { blocksFor } from "../../kv/kv-layout.ts"
import type { TransferReceipt } from "../../receipt/receipt.ts"
import { scribble } from "../content.ts"
import type { Life } from "../node.ts"
import { allocated, giveBackWatched, StillBlocks } from "./blocks.ts"
import type { Ledger } from "./ledger.ts"
import type { Lent } from "./lent.ts"
import { judgeTimes } from "./receipts.ts"
import type { RequestTraits } from "./traits.ts"
import { judgeBytes, judgeReceipt, levelOf, mayBeForeign } from "./verdict.ts"

/** One request on the side that claims: what it was given, and what it runs on. */
export interface Errand {
  readonly ledger: Ledger
  readonly life: Life
  readonly lent: Lent
  readonly traits: RequestTraits
  readonly peer: Peer
}

/** How a ticket ended, in a few words. */
export const endOf = (receipt: TransferReceipt): string =>
  receipt.error === undefined ? receipt.state : `${receipt.state}: ${receipt.error.code}`

/** Waits for the receipt of a ticket that `began` then; it must come in time. Cancels it when the errand says so. */
export async function receiptInTime(
  { ledger, life, lent, traits }: Errand,
  ticket: Ticket,
  began = life.process.clock.now(),
): Promise<TransferReceipt> {
  const { timeoutMillis, cancelMillis } = traits
  const ended = ledger.patience(life.process, timeoutMillis, `the ticket of ${lent.name}`)
  if (cancelMillis !== undefined) life.process.later(cancelMillis, () => ticket.cancel())
  const receipt = await ticket.receipt
  judgeTimes(ledger, life.process, receipt, began)
  ended()
  return receipt
}

/** Runs `action`, which may refuse with a typed error; anything else it throws is a mistake. */
export async function refusable<T>(action: () => Promise<T> | T): Promise<T | KvError> {
  try {
    return await action()
  } catch (thrown) {
    if (thrown instanceof KvError) return thrown
    throw thrown
  }
}

/** Claims, reads, proves and releases in one ticket. */
export async function pull(errand: Errand): Promise<string> {
  const { ledger, life, lent, traits, peer } = errand
  const { pool } = life
  const { name, tokens } = lent
  const into = allocated(life, blocksFor(tokens, pool.layout.blockTokens))
  if (into === undefined) return "no blocks at the holder"
  scribble({ ...pool, blocks: into }, ledger.newFilling(`${name} before its pull`))
  const ticket = life.agent.pull(peer, {
    requestId: name,
    lease: lent.lease,
    tokens,
    into,
    integrity: traits.integrity,
    timeoutMillis: traits.timeoutMillis,
    note: `note ${name}`,
  })
  const receipt = await receiptInTime(errand, ticket)
  if (receipt.state === "delivered") {
    // The source has confirmed the lease: this holds at every level.
    judgeBytes(ledger, life, lent, traits, { ...pool, blocks: into })
    judgeReceipt(ledger, life, lent, traits, receipt)
  }
  giveBackWatched(ledger, life, into, `the ticket of ${name} had ended`)
  return endOf(receipt)
}

/** Claims once, plans once, and posts the same read many times. */
export async function readPrepared(errand: Errand): Promise<string> {
  const { ledger, life, lent, traits, peer } = errand
  const { pool, agent, process } = life
  const { name, tokens } = lent
  const into = allocated(life, blocksFor(tokens, pool.layout.blockTokens))
  if (into === undefined) return "no blocks at the holder"
  const done = (how: string): string => {
    giveBackWatched(ledger, life, into, `the tickets of ${name} had ended`)
    return how
  }
  const deadline = process.clock.now() + traits.timeoutMillis
  const held = await refusable(() => agent.claim(peer, lent.lease, { deadline }))
  if (held instanceof KvError) return done(`claim: ${held.code}`)
  const read = await refusable(() => agent.prepareRead({ lease: held, into, integrity: traits.integrity }))
  let how = read instanceof KvError ? `prepare: ${read.code}` : ""
  if (!(read instanceof KvError)) {
    for (let post = 0; post < traits.posts; post++) {
      scribble({ ...pool, blocks: into }, ledger.newFilling(`${name} before post ${post}`))
      const receipt = await receiptInTime(
        errand,
        read.post({ requestId: name, timeoutMillis: traits.timeoutMillis }),
      )
      if (receipt.state === "delivered") {
        if (!mayBeForeign(ledger, lent, traits))
          judgeBytes(ledger, life, lent, traits, { ...pool, blocks: into })
        judgeReceipt(ledger, life, lent, traits, receipt)
      }
      how = `prepared ${endOf(receipt)}`
      const still = new StillBlocks(ledger, life, into, `a post of ${name} had ended`)
      await ledger.sleep(process, traits.useMillis)
      still.end()
      if (receipt.state !== "delivered") break
    }
    await read[Symbol.asyncDispose]()
  }
  await held[Symbol.asyncDispose]()
  return done(how)
}

/** Uses the blocks of the owner in place, once or more often under one lease. */
export async function attach(errand: Errand): Promise<string> {
  const { ledger, life, lent, traits, peer } = errand
  const { agent, process } = life
  const deadline = process.clock.now() + traits.timeoutMillis
  const held = await refusable(() => agent.claim(peer, lent.lease, { deadline }))
  if (held instanceof KvError) return `claim: ${held.code}`
  const prepared = await refusable(() => agent.prepareAttach(held, traits.integrity))
  let how: string
  if (prepared instanceof KvError) {
    const can = peer.connection.attach !== undefined
    if (!can && prepared.code !== "KV_TRANSPORT_UNAVAILABLE")
      ledger.world.broken("P3", process.name, `attach without a mapping was refused with ${prepared.code}`)
    how = `attach: ${prepared.code}`
  } else {
    how = await useInPlace(errand, prepared)
    await prepared[Symbol.asyncDispose]()
  }
  await held[Symbol.asyncDispose]()
  return how
}

async function useInPlace(
  errand: Errand,
  prepared: Awaited<ReturnType<Life["agent"]["prepareAttach"]>>,
): Promise<string> {
  const { ledger, life, lent, traits } = errand
  const { timeoutMillis, useMillis } = traits
  const began = life.process.clock.now()
  const attachment = await refusable(() => prepared.attach({ requestId: lent.name, timeoutMillis }))
  if (attachment instanceof KvError) return `attach: ${attachment.code}`
  const receiving = receiptInTime(errand, attachment.ticket, began)
  await ledger.sleep(life.process, useMillis)
  // What is computed from these bytes counts when the ticket is delivered; look at them as a user would.
  const seen = copyOf(attachment.sequence)
  await attachment.release()
  const receipt = await receiving
  if (receipt.state === "delivered") {
    if (!mayBeForeign(ledger, lent, traits)) judgeBytes(ledger, life, lent, traits, seen)
    judgeReceipt(ledger, life, lent, traits, receipt)
  }
  return `attach ${endOf(receipt)}${levelOf(traits) === "none" ? " at none" : ""}`
}

type Seen = Parameters<typeof judgeBytes>[4]

/** The bytes of a sequence as they are now. */
function copyOf({ layout, spans, blocks }: Seen): Seen {
  const copies = spans.map((span) => {
    const bytes = span.view(0, span.byteLength).slice()
    return { view: (offset: number, length: number) => bytes.subarray(offset, offset + length) }
  })
  return { layout, spans: copies as unknown as Seen["spans"], blocks }
}

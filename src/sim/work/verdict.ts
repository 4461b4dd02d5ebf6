import type { KvLayout } from "../../kv/kv-layout.ts"
import { type IntegrityLevel, strongerIntegrity, type TransferReceipt } from "../../receipt/receipt.ts"
import type { StoredSequence } from "../../verify/fingerprint.ts"
import { firstMisplaced, type Misplaced } from "../content.ts"
import type { Life, SimNode } from "../node.ts"
import type { Ledger } from "./ledger.ts"
import type { Lent } from "./lent.ts"
import { judgeNumbers } from "./receipts.ts"
import type { RequestTraits } from "./traits.ts"

/** The level that a transfer really has: what was asked for, or the floor of the side that moves it. */
export const levelOf = ({ integrity, holder }: RequestTraits): IntegrityLevel =>
  strongerIntegrity(integrity, holder.traits.integrityFloor)

const needsHashes = (level: IntegrityLevel): boolean => level === "sampled" || level === "full"

/** Heads that two sides both hold. */
export function commonHeads(
  a: KvLayout,
  b: KvLayout,
): { readonly firstHead: number; readonly heads: number } | undefined {
  const firstHead = Math.max(a.firstHead, b.firstHead)
  const heads = Math.min(a.firstHead + a.heads, b.firstHead + b.heads) - firstHead
  return heads > 0 ? { firstHead, heads } : undefined
}

export const sameHeads = (a: KvLayout, b: KvLayout): boolean =>
  a.firstHead === b.firstHead && a.heads === b.heads

/** The first path of the caller's policy that the other side offers too and that reaches it. */
export const bestPath = (caller: SimNode, called: SimNode): string | undefined =>
  caller.traits.paths.find(
    (path) =>
      called.traits.paths.includes(path) && (path !== "mapped" || caller.traits.host === called.traits.host),
  )

/** Says that bytes are not those that were promised: another's (P4), or wrong ones (P1). */
export function convict(ledger: Ledger, who: string, name: string, filling: number, wrong: Misplaced): void {
  const { layer, token, plane, head, byte, found } = wrong
  const place = `layer ${layer}, token ${token}, plane ${plane}, head ${head}, byte ${byte}`
  const owner = ledger.ownerOf(found.filling)
  const foreign = owner !== undefined && found.filling !== filling
  const seen = owner === undefined ? "nobody's" : `those of ${owner}`
  const what = `${name} was delivered with wrong bytes at ${place}: they are ${seen}`
  ledger.world.broken(foreign ? "P4" : "P1", who, what)
}

/**
 * True when foreign bytes are no broken promise: at level `none`, under a lease that is held and not confirmed at the
 * end, what the owner did is noticed with the next sign of life, which is due within `holdMillis`.
 */
export function mayBeForeign(ledger: Ledger, lent: Lent, traits: RequestTraits): boolean {
  if (levelOf(traits) !== "none" || lent.ended === undefined) return false
  return ledger.world.now - lent.ended.at <= traits.owner.traits.times.holdMillis
}

/** A sequence that was read, whole, as its reader has it now. */
export function judgeBytes(
  ledger: Ledger,
  life: Life,
  lent: Lent,
  traits: RequestTraits,
  sequence: Pick<StoredSequence, "layout" | "spans" | "blocks">,
): void {
  // A fabric that lied about bytes can be convicted by hashes only.
  if (life.lied && levelOf(traits) !== "full") return
  const heads = commonHeads(traits.owner.traits.layout, sequence.layout)!
  const { tokens, filling, name } = lent
  const { layout, spans, blocks } = sequence
  const wrong = firstMisplaced({ layout, spans, blocks, tokens, filling }, heads)
  if (wrong !== undefined) convict(ledger, life.process.name, name, filling, wrong)
}

/** What the receipt of a delivered transfer must say. */
export function judgeReceipt(
  ledger: Ledger,
  life: Life,
  lent: Lent,
  traits: RequestTraits,
  receipt: TransferReceipt,
): void {
  const { owner, holder } = traits
  const who = life.process.name
  const level = levelOf(traits)
  const wanted = bestPath(holder, owner)
  const { path, integrity } = receipt
  if (path.transport !== wanted)
    ledger.world.broken("P3", who, `${lent.name} went over ${path.transport}, not ${wanted}`)
  const heads = commonHeads(owner.traits.layout, holder.traits.layout)!
  const { shape } = holder.traits.layout
  const copied = lent.tokens * shape.layers * 2 * heads.heads * shape.headDim * shape.elementBytes
  const bytes = receipt.mode === "attach" ? 0 : copied
  const carried = path.rails.reduce((sum, rail) => sum + rail.bytes, 0)
  if (receipt.bytes !== bytes || carried !== bytes) {
    const what = `the receipt of ${lent.name} tells ${receipt.bytes} and ${carried} bytes of ${bytes}`
    ledger.world.broken("P3", who, what)
  }
  judgeNumbers(ledger, who, lent, traits, receipt, level)
  if (needsHashes(level) && receipt.direction === "read" && integrity.verdict !== "identical")
    ledger.world.broken("P1", who, `${lent.name} is delivered, its verdict is ${integrity.verdict}`)
  if (level === "epoch" && receipt.direction === "read" && integrity.epochs === 0)
    ledger.world.broken("P4", who, `${lent.name} is delivered, and no stamp was looked at`)
  // What is used in place is hashed as it lies, with all its heads.
  if (receipt.mode === "copy" && needsHashes(level) && !sameHeads(owner.traits.layout, holder.traits.layout))
    ledger.world.broken(
      "P1",
      who,
      `${lent.name} is delivered at ${level}, and a part of the heads was sealed`,
    )
}

/** Room that its owner got back as filled: the bytes must be there now. */
export function judgeLanded(ledger: Ledger, lent: Lent, traits: RequestTraits, blocks: Uint32Array): void {
  const { pool, process } = lent.life
  const writer = traits.holder.life
  // A writer that is dead can have lied too; only its own life knew.
  const lied = writer === undefined || writer.lied
  if (lied && levelOf(traits) !== "full") return
  const heads = commonHeads(traits.holder.traits.layout, pool.layout)!
  const { tokens, filling, name } = lent
  const wrong = firstMisplaced({ ...pool, blocks, tokens, filling }, heads)
  if (wrong !== undefined) convict(ledger, process.name, name, filling, wrong)
}

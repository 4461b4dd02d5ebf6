import { blocksFor } from "../../kv/kv-layout.ts"
import type { TransferReceipt } from "../../receipt/receipt.ts"
import type { SimProcess } from "../process.ts"
import type { Ledger } from "./ledger.ts"
import type { Lent } from "./lent.ts"
import type { RequestTraits } from "./traits.ts"

/** What the receipt of a delivered transfer says of who, what and how much. */
export function judgeNumbers(
  ledger: Ledger,
  who: string,
  lent: Lent,
  { owner, holder, kind }: RequestTraits,
  receipt: TransferReceipt,
  level: TransferReceipt["integrity"]["level"],
): void {
  const pushed = kind === "push" || kind === "push twice"
  const [source, target] = (pushed ? [holder, owner] : [owner, holder]).map(({ traits }) => traits)
  // Attached blocks stay the source's; they are counted as what a copy would have taken.
  const blocks = blocksFor(lent.tokens, target!.layout.blockTokens)
  const { layers } = source!.layout.shape
  const units = layers * blocksFor(lent.tokens, source!.layout.blockTokens)
  const { checked } = receipt.integrity
  const right = {
    requestId: lent.name,
    direction: pushed ? "write" : "read",
    source: source!.name,
    target: target!.name,
    tokens: lent.tokens,
    layers,
    blocks,
    level,
  }
  const said = {
    ...receipt,
    source: receipt.source.agentId,
    target: receipt.target.agentId,
    level: receipt.integrity.level,
  }
  for (const [name, value] of Object.entries(right)) {
    const found = said[name as keyof typeof right]
    if (found !== value)
      ledger.world.broken("P3", who, `the receipt of ${lent.name} says ${name} ${found}, and it was ${value}`)
  }
  const compared = { none: [0, 0], epoch: [0, 0], sampled: [layers, units], full: [units, units] }[level]
  if (checked < compared[0]! || checked > compared[1]!)
    ledger.world.broken(
      "P1",
      who,
      `${lent.name} is delivered at ${level}, with ${checked} of ${units} hashes`,
    )
  if (level === "sampled" && units > 2 * layers && checked >= units)
    ledger.world.broken("P3", who, `the receipt of ${lent.name} calls ${checked} of ${units} hashes a sample`)
}

/** What any receipt says of the time: the clock knows better. `began` in milliseconds of the process's own clock. */
export function judgeTimes(
  ledger: Ledger,
  { name, clock }: Pick<SimProcess, "name" | "clock">,
  receipt: TransferReceipt,
  began: number,
): void {
  const { micros, endedAt, bytes, bytesPerSecond, ticket, requestId } = receipt
  const wrong = (what: string): void => ledger.world.broken("P3", name, `the receipt of ${requestId} ${what}`)
  if (ledger.tickets.has(`${name} ${ticket}`)) wrong(`is of ticket ${ticket}, and so is another one`)
  ledger.tickets.add(`${name} ${ticket}`)
  const lasted = (clock.now() - began) * 1000
  if (Math.abs(micros.total - lasted) > 2) wrong(`says ${micros.total} µs, and it took ${lasted}`)
  const { total, ...parts } = micros
  const sum = Object.values(parts).reduce((all, part) => all + part, 0)
  if (Object.values(parts).some((part) => part < 0) || sum > total + 5)
    wrong(`has parts of ${sum} µs in ${total}`)
  if (endedAt !== new Date(clock.wallMillis()).toISOString())
    wrong(`was written at another time than ${endedAt}`)
  const rate = bytes === 0 ? 0 : Math.round((bytes / Math.max(1, micros.move)) * 1e6)
  if (bytesPerSecond !== rate) wrong(`says ${bytesPerSecond} bytes a second, and it were ${rate}`)
}

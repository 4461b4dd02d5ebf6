import type { KvErrorRecord } from "../../errors/kv-error.ts"
import { Deal } from "./deal.ts"
import type { LaneWork } from "./driver.ts"
import type { FailedUnit, PostCommand } from "./rail-messages.ts"

/** A move as one rail's thread takes part in it. Whoever told the thread of it has entered the deal for it. */
export class RailMove {
  readonly id: number
  readonly connection: number
  readonly direction: LaneWork["direction"]
  readonly deal: Deal
  readonly deadlineMillis: number
  /** What each of this rail's lanes posts, by its place. */
  readonly work: ReadonlyMap<number, LaneWork>
  /** Why it was stopped here; the first reason stays. */
  error: KvErrorRecord | undefined
  refused: FailedUnit | undefined
  /** The last unit that a lane failed with: it may have been carried by another since. */
  lost: FailedUnit | undefined
  /** Since when it is to end; lanes that do not get quiet by themselves are ended some time after that. */
  stoppedAtMillis: number | undefined

  constructor(command: PostCommand) {
    const { units, localKeys, direction } = command
    this.id = command.move
    this.connection = command.connection
    this.direction = direction
    this.deal = new Deal(command.deal, units.length)
    this.deadlineMillis = command.deadlineMillis
    this.work = new Map(
      command.lanes.map(({ place, remoteKeys }) => [place, { direction, units, localKeys, remoteKeys }]),
    )
  }

  /** Nothing new of it is posted from here on. */
  stop(nowMillis: number, error: KvErrorRecord | undefined, refused?: FailedUnit): void {
    if (this.error === undefined && this.refused === undefined) {
      this.error = error
      this.refused = refused
    }
    this.stoppedAtMillis ??= nowMillis
    this.deal.stop()
  }
}

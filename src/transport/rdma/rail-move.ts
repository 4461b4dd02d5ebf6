import type { KvErrorRecord } from "../../errors/kv-error.ts"
import { Deal } from "./deal.ts"
import type { LaneWork } from "./driver.ts"
import type { FailedUnit, PostCommand, PreparedWork } from "./rail-messages.ts"

/** What each of a rail's lanes posts of a prepared move, by its place. */
export type WorkByPlace = ReadonlyMap<number, LaneWork>

/** Brings what came in a message into the form that lanes are posted from. */
export function workByPlace({ units, localKeys, direction, lanes }: PreparedWork): WorkByPlace {
  return new Map(lanes.map(({ place, remoteKeys }) => [place, { direction, units, localKeys, remoteKeys }]))
}

/** A move as one rail's thread takes part in it. Whoever told the thread of it has entered the deal for it. */
export class RailMove {
  readonly id: number
  readonly connection: number
  readonly direction: LaneWork["direction"]
  readonly deal: Deal
  readonly deadlineMillis: number
  readonly work: WorkByPlace
  /** Why it was stopped here; the first reason stays. */
  error: KvErrorRecord | undefined
  refused: FailedUnit | undefined
  /** The last unit that a lane failed with: it may have been carried by another since. */
  lost: FailedUnit | undefined
  /** Since when it is to end; lanes that do not get quiet by themselves are ended some time after that. */
  stoppedAtMillis: number | undefined

  constructor({ move, connection, deal, deadlineMillis }: PostCommand, work: WorkByPlace) {
    const { direction, units } = [...work.values()][0]!
    this.id = move
    this.connection = connection
    this.direction = direction
    this.deal = new Deal(deal, units.length)
    this.deadlineMillis = deadlineMillis
    this.work = work
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

import type { Answers, Op, Questions } from "../driver/protocol.ts"
import type { DealtAgent } from "./deal-load.ts"
import type { Arrival, Checked, Places } from "./judged-memory.ts"

/** An agent under load, here or on another host: it answers as a driver does, and the judge looks at its memory where that is. */
export interface LoadAgent extends AsyncDisposable {
  readonly dealt: DealtAgent
  /** Opens the engine's agent, and maps its memory. @throws DriverFailed. */
  open(question: Questions["open"]): Promise<Answers["open"]>
  /** @throws DriverFailed. */
  ask<O extends Op>(op: O, args: Questions[O], millis?: number): Promise<Answers[O]>
  fillAll(epoch: number, poison: boolean): Promise<void>
  fill(places: Places, epoch: number, poison: boolean): Promise<void>
  checkPieces(arrivals: readonly Arrival[], bytesMax: number, from: number): Promise<Checked>
  checkAll(arrivals: readonly Arrival[]): Promise<Checked>
  checkSource(epoch: number): Promise<Checked>
  /** Stops its process, so that its threads take nothing from whoever is measured now. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Ends its process at once. Its memory can still be looked at until this is disposed of. */
  kill(): Promise<void>
  /** The end of what it wrote to its standard error. */
  readonly lastWords: string
}

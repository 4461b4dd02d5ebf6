import type { Capability } from "../driver/protocol.ts"
import type { World } from "./world.ts"

/** Suites in the order in which they are run. */
export const suiteNames = [
  "shapes",
  "blocks",
  "pairs",
  "tp",
  "order",
  "load",
  "faults",
  "downgrade",
  "lifecycle",
  "receipts",
] as const
export type SuiteName = (typeof suiteNames)[number]

/** One thing that a transfer engine must get right. */
export interface JudgeCase {
  readonly suite: SuiteName
  /** Stable, with the suite it is the case's id: "shapes/sizes-read". */
  readonly name: string
  /** What a user would lose if it failed. */
  readonly title: string
  /** What the engine must offer for it. */
  readonly needs: readonly Capability[]
  /** @throws CaseFailed, NotSupported, DriverFailed. */
  run(world: World): Promise<void>
}

export const caseId = ({ suite, name }: JudgeCase): string => `${suite}/${name}`

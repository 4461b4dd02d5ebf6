import type { Repeats } from "./sides/timed.ts"

/** What a contender is in the report. */
export type Role =
  /** Nothing on this machine should be faster at this. */
  | "ceiling"
  | "kvferry"
  | "peer"
  /** A line to compare with by eye. */
  | "reference"

/** The times of one run, and what the run cost both processes. */
export interface RunTimes {
  readonly micros: readonly number[]
  readonly prepareMicros?: number
  readonly sourceCpuMicros: number
  readonly targetCpuMicros: number
}

/** Something that moves the bytes of a job between two processes. */
export interface Contender {
  /** Its name in tables and in the JSON document. */
  readonly name: string
  readonly role: Role
  /** The contender of the same lineup that bounds this one. */
  readonly ceiling?: string
  /** True for a copy inside the target's process, which needs the source's pattern in the target's pool. */
  readonly refills?: boolean
  /** Where the bytes are afterwards; nothing to check where it moves none. */
  readonly landsAt: "target" | "attached" | "nowhere"
  run(job: number, times: Repeats, damage: boolean): Promise<RunTimes>
}

/** The promises that a schedule is held to (`docs/promises`), and `alive`: no process may end by a mistake of ours. */
export type Promised = "P1" | "P2" | "P3" | "P4" | "P5" | "P6" | "P7" | "P8" | "alive"

/** A promise that did not hold: which, who broke it, and what was seen. */
export interface Violation {
  readonly promise: Promised
  readonly who: string
  readonly what: string
}

/** A violation in one line. */
export const violationText = ({ promise, who, what }: Violation): string =>
  `${promise} broken by ${who}: ${what}`

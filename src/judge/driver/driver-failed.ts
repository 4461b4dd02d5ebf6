/**
 * How a driver failed. `error`: its engine said no. `hang`: no answer in time, though the process lives. `crash`: it has ended,
 * or what it wrote is no answer.
 */
export type DriverFailure = "error" | "hang" | "crash"

/** A question to a driver that did not get its answer. */
export class DriverFailed extends Error {
  override readonly name = "DriverFailed"
  readonly kind: DriverFailure
  /** The engine's own word for an error; "hang" or "crash" else. */
  readonly code: string
  /** One line that may stand on a terminal. */
  readonly text: string
  /** The driver's last words, cleaned. */
  readonly log: string

  constructor(kind: DriverFailure, { code, text, log }: { code: string; text: string; log: string }) {
    super(text)
    this.kind = kind
    this.code = code
    this.text = text
    this.log = log
  }
}

import { AssertionFailed } from "../errors/assert.ts"

/** Where a side is in a handshake. The caller goes through the upper row, the listener through the lower one. */
export type HandshakeState =
  | "idle"
  | ("hello-sent" | "proof-sent" | "listener-proven")
  | ("challenge-sent" | "caller-proven" | "welcome-sent")
  | "up"
  | "refused"

/** What can happen in a handshake: a step forward, or one of the ways to fail. */
export type HandshakeEvent =
  /** The caller begins. */
  | "call"
  /** A message came in its turn, and what it proves holds. */
  | "hello"
  | "challenge"
  | "proof"
  | "welcome"
  | "present"
  /** The caller has compared the cards. */
  | "fit"
  /** The listener's fabrics have let the session in. */
  | "admit"
  /** The two sides do not use the same kind of credential. */
  | "mismatch"
  /** A key that is not trusted, or a proof that does not hold. */
  | "distrust"
  /** The cards do not fit, or the session cannot be let in. */
  | "misfit"
  /** A message that cannot be read, is of another version or not due, or one too many. */
  | "break"
  /** The peer refused us. */
  | "refusal"
  /** The channel has ended. */
  | "lose"
  /** The deadline has passed. */
  | "expire"

/** One row of the machine. */
export interface HandshakeTransition {
  readonly from: HandshakeState
  readonly event: HandshakeEvent
  readonly to: HandshakeState
}

const outside: readonly HandshakeEvent[] = ["break", "refusal", "lose", "expire"]
const failures: Partial<Record<HandshakeState, readonly HandshakeEvent[]>> = {
  idle: ["mismatch", ...outside],
  "hello-sent": ["mismatch", "distrust", ...outside],
  "proof-sent": ["distrust", ...outside],
  "challenge-sent": ["distrust", ...outside],
  // A refusal that comes while the fabrics let the session in is read when the next message is due.
  "caller-proven": ["misfit", "break", "lose", "expire"],
  "welcome-sent": ["distrust", "misfit", ...outside],
  // Nothing is awaited between the welcome and the comparison.
  "listener-proven": ["misfit"],
}

/** Every transition there is. What is not in it cannot happen. */
export const handshakeTransitions: readonly HandshakeTransition[] = [
  { from: "idle", event: "call", to: "hello-sent" },
  { from: "hello-sent", event: "challenge", to: "proof-sent" },
  { from: "proof-sent", event: "welcome", to: "listener-proven" },
  { from: "listener-proven", event: "fit", to: "up" },
  { from: "idle", event: "hello", to: "challenge-sent" },
  { from: "challenge-sent", event: "proof", to: "caller-proven" },
  { from: "caller-proven", event: "admit", to: "welcome-sent" },
  { from: "welcome-sent", event: "present", to: "up" },
  ...Object.entries(failures).flatMap(([from, events]) =>
    events.map((event): HandshakeTransition => ({ from: from as HandshakeState, event, to: "refused" })),
  ),
]

const table: ReadonlyMap<string, HandshakeState> = new Map(
  handshakeTransitions.map(({ from, event, to }) => [`${from} ${event}`, to]),
)

/** True when nothing can happen to a handshake any more. */
export const isHandshakeEnd = (state: HandshakeState): state is "up" | "refused" =>
  state === "up" || state === "refused"

/** The state after `event`. An event that does not fit is our mistake: the world's are all in the table. */
export function nextHandshakeState(state: HandshakeState, event: HandshakeEvent): HandshakeState {
  const next = table.get(`${state} ${event}`)
  if (next === undefined) throw new AssertionFailed(`a handshake that is ${state} cannot take "${event}"`)
  return next
}

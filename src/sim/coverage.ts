import { handshakeTransitions } from "../agent/handshake-state.ts"
import { leaseTransitions } from "../agent/lease-state.ts"
import { ticketTransitions } from "../agent/ticket-state.ts"

/** The machines whose every transition a run must take. */
export type Machine = "ticket" | "lease" | "handshake"

/** What a step is counted under when nothing is wrong. */
export const noFault = "none"

/** How often each transition was taken, by the fault that was in force; plain data, to cross threads. */
export type CoverageCounts = Readonly<Record<string, Readonly<Record<string, number>>>>

/** One transition of one machine, as `machine state event`, state and event without spaces in them but "-" for " ". */
export const transitionName = (machine: Machine, state: string, event: string): string =>
  `${machine} ${state.replaceAll(" ", "-")} ${event}`

/** Every transition of the three machines, from the tables that the agent itself goes by. */
export const allTransitions: readonly string[] = [
  ...fromTable("ticket", ticketTransitions),
  ...fromTable("lease", leaseTransitions),
  ...handshakeTransitions.map(({ from, event }) => transitionName("handshake", from, event)),
]

/**
 * Transitions that no agent can take as its code stands, each with the reason. They are in the tables because the
 * machine would allow them; one that is taken after all makes its reason a lie, and fails the run.
 */
export const neverTaken: Readonly<Record<string, string>> = {
  "ticket granted cancel": "nothing is awaited between the grant and the post",
  "ticket granted expire": "nothing is awaited between the grant and the post",
  "ticket proven fail": "the last step before the delivery; nothing is awaited between the two",
  "ticket proven cancel": "the last step before the delivery; nothing is awaited between the two",
  "ticket proven expire": "the last step before the delivery; nothing is awaited between the two",
}

/** Counts the transitions that were taken, and under which faults. */
export class Coverage {
  readonly #counts = new Map<string, Map<string, number>>()

  /** Notes one step, under each fault in force. */
  note(machine: Machine, state: string, event: string, faults: readonly string[]): void {
    const name = transitionName(machine, state, event)
    for (const fault of faults.length === 0 ? [noFault] : faults) this.#add(name, fault, 1)
  }

  /** Adds what another run counted. */
  add(counts: CoverageCounts): void {
    for (const [name, byFault] of Object.entries(counts))
      for (const [fault, count] of Object.entries(byFault)) this.#add(name, fault, count)
  }

  get counts(): CoverageCounts {
    return Object.fromEntries([...this.#counts].map(([name, byFault]) => [name, Object.fromEntries(byFault)]))
  }

  /** Transitions that should have been taken and were not. */
  get missing(): string[] {
    return allTransitions.filter((name) => !(name in neverTaken) && !this.#counts.has(name))
  }

  /** Transitions that were taken though they are said to be impossible. */
  get surprising(): string[] {
    return Object.keys(neverTaken).filter((name) => this.#counts.has(name))
  }

  #add(name: string, fault: string, count: number): void {
    let byFault = this.#counts.get(name)
    if (byFault === undefined) {
      byFault = new Map()
      this.#counts.set(name, byFault)
    }
    byFault.set(fault, (byFault.get(fault) ?? 0) + count)
  }
}

function fromTable(
  machine: Machine,
  table: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>,
): string[] {
  return Object.entries(table).flatMap(([state, events]) =>
    Object.keys(events ?? {}).map((event) => transitionName(machine, state, event)),
  )
}

import type { RailCommand, RailEvent } from "./rail-messages.ts"

/** What a rail's thread was told to do or to end by when, and has not said it has: a call in its way is less welcome then. */
export class RailDues {
  /** Moves under way, with their connections and deadlines. */
  readonly #moves = new Map<number, { readonly connection: number; dueMillis: number }>()
  /** Lanes that are to end. */
  readonly #ending = new Set<number>()
  #stopping = false

  told(command: RailCommand, nowMillis: number): void {
    if (command.type === "post") {
      const { move, connection, deadlineMillis } = command
      this.#moves.set(move, { connection, dueMillis: deadlineMillis })
    } else if (command.type === "stop-lane") this.#ending.add(command.lane)
    else if (command.type === "cancel") {
      const move = this.#moves.get(command.move)
      if (move !== undefined) move.dueMillis = nowMillis
    } else if (command.type === "disconnect") {
      for (const move of this.#moves.values())
        if (move.connection === command.connection) move.dueMillis = nowMillis
    }
  }

  /** The thread itself is to end. */
  stopping(): void {
    this.#stopping = true
  }

  heard(event: RailEvent): void {
    if (event.type === "left") this.#moves.delete(event.move)
    else if (event.type === "lane-ended") this.#ending.delete(event.lane)
  }

  /** Whether something should have ended by now. */
  due(nowMillis: number): boolean {
    if (this.#stopping || this.#ending.size > 0) return true
    for (const { dueMillis } of this.#moves.values()) if (dueMillis <= nowMillis) return true
    return false
  }
}

import { type MessagePort, receiveMessageOnPort } from "node:worker_threads"
import { KvError } from "../../errors/kv-error.ts"
import { sharedMillis } from "../../os/clock.ts"
import { ControlMemory } from "../../os/control-memory.ts"
import { Doorbell } from "../../os/doorbell.ts"
import { interest, Poller } from "../../os/poller.ts"
import type { CompletionSink, Direction, RailPort, WorkFailure } from "./driver.ts"
import { RailCounter } from "./rail-counts.ts"
import { RailLane } from "./rail-lane.ts"
import type { AttachCommand, PostCommand, RailCommand, RailEvent, RailStart } from "./rail-messages.ts"
import { RailMove, type WorkByPlace, workByPlace } from "./rail-move.ts"

/** How long a stopped move's outstanding work may end by itself, before the lanes that carry it are ended. */
const drainMillis = 100
/** Units that are taken at once: what is taken by one lane is not there for another. */
const takeMax = 128

/**
 * The loop of one rail's thread: it takes units for its lanes, posts them, reaps what has ended, and parks.
 *
 * It never returns to the event loop while it runs, so a busy main thread stalls nothing here. Commands are taken from
 * the port by hand when the doorbell has rung.
 */
export class RailLoop implements CompletionSink {
  readonly #events: MessagePort
  readonly #start: RailStart
  readonly #port: RailPort
  readonly #memory: ControlMemory
  readonly #poller: Poller
  readonly #doorbell: Doorbell
  readonly #others: readonly Doorbell[]
  readonly #stopFlag: Int32Array
  readonly #counts: RailCounter
  readonly #lanes = new Map<number, RailLane>()
  readonly #moves = new Map<number, RailMove>()
  readonly #prepared = new Map<number, WorkByPlace>()
  #spinUntilMillis = 0
  /** A unit went back to its deal, or a move came to its end: other rails may be asleep over that. */
  #othersMustLook = false

  constructor(events: MessagePort, start: RailStart, port: RailPort) {
    this.#events = events
    this.#start = start
    this.#port = port
    this.#memory = new ControlMemory(4096)
    this.#poller = new Poller(this.#memory, 1 + port.descriptors.length)
    this.#doorbell = new Doorbell(start.doorbell, this.#memory)
    this.#others = start.others.map((other) => new Doorbell(other, this.#memory))
    this.#stopFlag = new Int32Array(start.stopFlag)
    this.#counts = new RailCounter(start.counts)
    this.#emit({ type: "running" })
  }

  /** Runs until it is told to stop. */
  run(): void {
    try {
      while (!this.#stopped) {
        if (this.#doorbell.rung) this.#obey()
        const busy = this.#work()
        if (busy) this.#spinUntilMillis = sharedMillis() + this.#start.spinMicros / 1000
        else this.#rest()
      }
    } finally {
      this.#port[Symbol.dispose]()
      this.#memory[Symbol.dispose]()
    }
  }

  landed(lane: number, direction: Direction, seq: number): void {
    this.#lanes.get(lane)?.landed(direction, seq)
  }

  confirmed(lane: number, token: number): void {
    this.#lanes.get(lane)?.confirmed(token)
  }

  failed(lane: number, direction: Direction, seq: number, failure: WorkFailure): void {
    const at = this.#lanes.get(lane)
    if (at === undefined || failure.kind === "flushed") return
    const found = at.windows[direction].unitOf(seq)
    if (found === undefined) return
    const unit = { unit: found.unit, place: at.place, failure }
    for (const move of this.#moves.values()) {
      if (move.deal !== found.deal) continue
      if (failure.kind === "lane") move.lost = unit
      else move.stop(sharedMillis(), undefined, unit)
    }
    // Another lane may carry it, once this one is quiet.
    if (failure.kind === "lane") return
    at.windows[direction].failed(seq)
  }

  proven(lane: number): void {
    const at = this.#lanes.get(lane)
    if (at === undefined || at.stopping) return
    at.up = true
    for (const move of this.#moves.values()) {
      if (move.connection === at.connection && move.work.has(at.place)) move.deal.laneBack(at.place)
    }
    this.#emit({ type: "proven", lane })
  }

  ended(lane: number, failure: WorkFailure | undefined): void {
    const at = this.#lanes.get(lane)
    if (at === undefined) return
    this.#lanes.delete(lane)
    // Lost first, given back then: no lane and nothing under way is what a stranded move looks like.
    for (const move of this.#moves.values()) {
      if (move.connection === at.connection && move.work.has(at.place)) move.deal.laneLost(at.place)
    }
    at.lost()
    this.#othersMustLook = true
    this.#port.detach(lane)
    this.#emit({ type: "lane-ended", lane, ...(failure === undefined ? {} : { failure }) })
  }

  broken(why: string): void {
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", { what: `rail ${this.#start.rail} has failed`, why })
  }

  get #stopped(): boolean {
    return Atomics.load(this.#stopFlag, 0) !== 0
  }

  #emit(event: RailEvent): void {
    this.#events.postMessage(event)
  }

  /** One look at everything. Returns whether anything happened. */
  #work(): boolean {
    const reaped = this.#port.reap(this) > 0
    this.#counts.looked()
    const now = this.#moves.size === 0 ? 0 : sharedMillis()
    let posted = false
    for (const move of this.#moves.values()) {
      if (move.deadlineMillis <= now && move.stoppedAtMillis === undefined) this.#expire(move, now)
      if (move.stoppedAtMillis === undefined) posted = this.#pump(move) || posted
      else this.#hurry(move, now)
      this.#settle(move)
    }
    if (this.#othersMustLook) {
      this.#othersMustLook = false
      for (const other of this.#others) other.ring()
    }
    return reaped || posted
  }

  /** Posts what the lanes of this rail have room for. */
  #pump(move: RailMove): boolean {
    const { deal, direction } = move
    let posted = false
    for (const lane of this.#lanes.values()) {
      if (!lane.up || lane.connection !== move.connection) continue
      const work = move.work.get(lane.place)
      if (work === undefined) continue
      const window = lane.windows[direction]
      while (lane.up && lane.mayPost(direction)) {
        const room = Math.min(takeMax, window.room, this.#port.room(lane.number))
        const count = deal.take(lane.place, room, window.bytesRoom)
        if (count === 0) break
        posted = true
        const { first } = deal
        for (let i = 0; i < count; i++) window.push(deal, first + i, work.units.length[first + i]!)
        const seq = lane.nextSeq(direction)
        lane.posted(direction, count)
        this.#counts.posted(count)
        const token = lane.tokenFor(direction, seq + count - 1)
        // Of fewer the lane's end will tell: all that it has not proven goes back then.
        if (this.#port.post(lane.number, work, first, count, seq, token) < count) lane.up = false
      }
    }
    return posted
  }

  /** A stopped move whose work does not end by itself takes its lanes with it: bounded time is the promise. */
  #hurry(move: RailMove, now: number): void {
    if (now - move.stoppedAtMillis! < drainMillis || move.deal.outstanding === 0) return
    for (const lane of this.#lanes.values()) {
      if (lane.connection === move.connection && lane.outstanding > 0) this.#stopLane(lane)
    }
  }

  #stopLane(lane: RailLane): void {
    if (lane.stopping) return
    lane.stopping = true
    lane.up = false
    this.#port.stop(lane.number)
  }

  #expire(move: RailMove, now: number): void {
    const error = new KvError("KV_DEADLINE", {
      what: `the deadline passed with ${move.deal.provenUnits} of ${move.deal.provenUnits + move.deal.outstanding} posted requests done`,
    })
    move.stop(now, error.toJSON())
    this.#othersMustLook = true
  }

  /** Looks whether a move has ended, here or on another rail. */
  #settle(move: RailMove): void {
    const { state } = move.deal
    const left = move.deal.abandoned && this.#quiet(move.connection)
    if (state !== "done" && state !== "stopped" && !left) {
      // Stopped by another rail: this one has its part to end as well.
      if (move.stoppedAtMillis === undefined && move.deal.stopping) move.stoppedAtMillis = sharedMillis()
      return
    }
    // The others may be asleep over it.
    if (move.deal.claimEnd()) this.#othersMustLook = true
    move.deal.leave()
    this.#moves.delete(move.id)
    const { id, error, refused, lost } = move
    this.#emit({
      type: "left",
      move: id,
      done: state === "done",
      ...(error === undefined ? {} : { error }),
      ...(refused === undefined ? {} : { refused }),
      ...(lost === undefined ? {} : { lost }),
    })
  }

  /** Nothing of a connection is under way on this rail. */
  #quiet(connection: number): boolean {
    for (const lane of this.#lanes.values())
      if (lane.connection === connection && lane.outstanding > 0) return false
    return true
  }

  /** Looks again for a moment, then sleeps until something happens or the next deadline comes. */
  #rest(): void {
    const now = sharedMillis()
    if (now < this.#spinUntilMillis) return
    if (!this.#port.arm() || this.#port.reap(this) > 0 || this.#doorbell.rung) return
    // Its ring may have been one with the command's that this turn has heard: nobody rings again.
    if (this.#stopped) return
    let soonest = now + this.#port.idleMillisMax
    for (const { deadlineMillis, stoppedAtMillis } of this.#moves.values()) {
      soonest = Math.min(
        soonest,
        stoppedAtMillis === undefined ? deadlineMillis : stoppedAtMillis + drainMillis,
      )
    }
    const { descriptors } = this.#port
    this.#poller.clear()
    const bell = this.#poller.watch(this.#doorbell.fd, interest.read)
    for (const descriptor of descriptors) this.#poller.watch(descriptor, interest.read)
    const wait =
      soonest === Number.POSITIVE_INFINITY ? -1 : Math.min(2 ** 30, Math.max(1, Math.ceil(soonest - now)))
    this.#counts.parked()
    this.#poller.wait(wait)
    for (let which = 0; which < descriptors.length; which++) {
      if (this.#poller.ready(bell + 1 + which) !== 0) this.#port.heard(which, this)
    }
  }

  #obey(): void {
    this.#doorbell.hear()
    for (;;) {
      const message = receiveMessageOnPort(this.#events) as { message: RailCommand } | undefined
      if (message === undefined) return
      this.#carryOut(message.message)
    }
  }

  #carryOut(command: RailCommand): void {
    if (command.type === "attach") this.#attach(command)
    else if (command.type === "post") this.#post(command)
    else if (command.type === "forget") this.#prepared.delete(command.prepared)
    else if (command.type === "stop-lane") {
      const lane = this.#lanes.get(command.lane)
      if (lane !== undefined) this.#stopLane(lane)
    } else if (command.type === "cancel") {
      this.#moves.get(command.move)?.stop(sharedMillis(), command.error)
      this.#othersMustLook = true
    } else {
      for (const move of this.#moves.values()) {
        if (move.connection === command.connection) move.stop(sharedMillis(), command.error)
      }
      for (const lane of this.#lanes.values())
        if (lane.connection === command.connection) this.#stopLane(lane)
    }
  }

  #attach(command: AttachCommand): void {
    const { rail, ordered, writesAreVisible } = this.#start
    this.#lanes.set(command.lane, new RailLane(command, { rail, ordered, writesAreVisible }))
    this.#port.attach(command.lane, command.handle)
    this.#emit({ type: "attached", lane: command.lane })
    if (command.prove) this.#port.probe(command.lane)
  }

  #post(command: PostCommand): void {
    const { prepared, once } = command
    const work = command.work === undefined ? this.#prepared.get(prepared)! : workByPlace(command.work)
    if (!once) this.#prepared.set(prepared, work)
    const move = new RailMove(command, work)
    this.#moves.set(move.id, move)
    // The main thread may not have heard yet which lanes have come and gone.
    for (const place of move.work.keys()) {
      const up = [...this.#lanes.values()].some(
        (lane) => lane.up && lane.connection === move.connection && lane.place === place,
      )
      if (up) move.deal.laneBack(place)
      else move.deal.laneLost(place)
    }
  }
}

import { type MessagePort, receiveMessageOnPort } from "node:worker_threads"
import { KvError } from "../../errors/kv-error.ts"
import { sharedMillis } from "../../os/clock.ts"
import { ControlMemory } from "../../os/control-memory.ts"
import { adoptSpan } from "../../os/memory-span.ts"
import { MessageIo } from "../../os/message-io.ts"
import { errnoName } from "../../os/os-error.ts"
import { interest, Poller } from "../../os/poller.ts"
import { Sockets } from "../../os/sockets.ts"
import { WakeUp } from "../../os/wake-up.ts"
import { CallerStream } from "./caller-stream.ts"
import { ListenerStream } from "./listener-stream.ts"
import type { MoverHost, MoverRegion, MoverSession } from "./mover-host.ts"
import type { ConnectCommand, MoverCommand, MoverEvent, MoverStart, PostCommand } from "./mover-messages.ts"
import { Places } from "./places.ts"
import type { RailPieces } from "./rail-pieces.ts"
import { SpinPermit } from "./spin-permit.ts"
import { StreamMemory } from "./stream-memory.ts"

/** Streams of one mover, both roles together. */
const streamsMax = 512
/** Callers that have not proven themselves yet. */
const strangersMax = 64
const sinkBytes = 256 * 1024
/** What accept answers when the machine has no more to give, and how long nobody asks again. */
const exhausted: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
const exhaustedPauseMillis = 50

/**
 * The loop of one mover thread: it waits on its sockets and its wake-up descriptor, and moves what is ready.
 *
 * One thread owns one rail: its listener, the streams of that rail, and their control memory. It never returns to the
 * event loop while it runs, so a busy main thread stalls nothing here, and commands are taken from the port by hand.
 */
export class Mover implements MoverHost {
  readonly io: MessageIo
  readonly sockets: Sockets
  readonly sink: { readonly address: number; readonly byteLength: number }
  readonly places = new Places()
  readonly regionsById = new Map<number, MoverRegion>()
  readonly regionsByKey = new Map<number, MoverRegion>()
  readonly sessions = new Map<string, MoverSession>()
  readonly #port: MessagePort
  readonly #memory: ControlMemory
  readonly #poller: Poller
  readonly #wakeUp: WakeUp
  readonly #stopFlag: Int32Array
  /** Undefined when callers are brought to it. */
  readonly #listener: number | undefined
  readonly #listening = new Set<ListenerStream>()
  readonly #calling = new Map<number, CallerStream>()
  readonly #express = new Map<number, CallerStream>()
  readonly #prepared = new Map<number, RailPieces>()
  readonly #spin: SpinPermit
  /** The streams that are waited for, in the order of the poll table. */
  #streams: (ListenerStream | CallerStream)[] = []
  #listIsRight = false
  readonly #spareMemory: StreamMemory[] = []
  #running = true
  /** Until then no caller is let in: the process had no descriptor or memory for the last one. */
  #doorClosedUntil = 0

  constructor(port: MessagePort, start: MoverStart) {
    this.#port = port
    this.#memory = new ControlMemory(MessageIo.controlBytes + sinkBytes + (streamsMax + 2) * 8 + 4096)
    this.io = new MessageIo(this.#memory)
    this.sockets = new Sockets(this.#memory)
    this.sink = this.#memory.take(sinkBytes)
    this.#poller = new Poller(this.#memory, streamsMax + 2)
    this.#wakeUp = new WakeUp(start.wakeUp, this.#memory)
    this.#stopFlag = new Int32Array(start.stopFlag)
    this.#spin = new SpinPermit(start.spinners, start.spinMicros)
    const door = start.host === undefined ? undefined : this.sockets.listen(start.host, 0)
    this.#listener = door?.fd
    this.emit({ type: "listening", port: door?.port ?? 0 })
  }

  emit(event: MoverEvent): void {
    this.#port.postMessage(event)
  }

  /** Runs until it is told to stop. */
  run(): void {
    try {
      while (this.#running && Atomics.load(this.#stopFlag, 0) === 0) this.#turn()
    } finally {
      // Also after a failure: the descriptors are the process's, and peers wait until they are closed.
      this.#spin.giveBack()
      for (const stream of this.#all()) stream.close("this side stopped")
      if (this.#listener !== undefined) this.sockets.close(this.#listener)
      this.#closeUnheard()
      for (const memory of this.#spareMemory) memory[Symbol.dispose]()
      this.#memory[Symbol.dispose]()
    }
  }

  changed(): void {
    this.#listIsRight = false
  }

  #turn(): void {
    if (!this.#listIsRight) this.#list()
    const now = sharedMillis()
    let soonest = this.#doorClosedUntil > now ? this.#doorClosedUntil : Number.POSITIVE_INFINITY
    this.#poller.clear()
    const bell = this.#poller.watch(this.#wakeUp.fd, interest.read)
    const open = this.#doorClosedUntil <= now && this.#hasRoom()
    const door = this.#poller.watch(this.#listener ?? -1, open ? interest.read : 0)
    for (const stream of this.#streams) {
      if (stream.deadlineMillis <= now) stream.expired(now)
      // Also when it was closed just now: every stream keeps its place in the table until the list is made anew.
      this.#poller.watch(stream.closed ? -1 : stream.fd, stream.wants)
      soonest = Math.min(soonest, stream.deadlineMillis)
    }
    this.#wait(now, soonest)

    let busy = false
    for (let i = 0; i < this.#streams.length; i++) {
      const events = this.#poller.ready(door + 1 + i)
      if (events === 0) continue
      busy = true
      const stream = this.#streams[i]!
      if (!stream.closed) stream.ready(events)
    }
    if (this.#listener !== undefined && this.#poller.ready(door) !== 0) this.#accept(this.#listener)
    if (this.#poller.ready(bell) !== 0) {
      this.#obey()
      busy = true
    }
    if (busy && this.#spin.wanted) this.#spin.renew(sharedMillis())
  }

  /** Looks again at once while it may, else sleeps until something happens or the next deadline comes. */
  #wait(now: number, soonest: number): void {
    if (this.#spin.lasts(now)) return this.#poller.wait(0)
    if (soonest === Number.POSITIVE_INFINITY) return this.#poller.wait(-1)
    this.#poller.wait(Math.max(0, Math.min(2 ** 30, Math.ceil(soonest - now))))
  }

  #hasRoom(): boolean {
    let strangers = 0
    for (const stream of this.#listening) if (stream.session === undefined) strangers += 1
    return strangers < strangersMax && this.#room() > 0
  }

  #room(): number {
    return streamsMax - this.#listening.size - this.#calling.size - this.#express.size
  }

  #all(): (ListenerStream | CallerStream)[] {
    return [...this.#listening, ...this.#calling.values(), ...this.#express.values()]
  }

  #accept(listener: number): void {
    while (this.#hasRoom()) {
      const fd = this.sockets.accept(listener)
      if (fd < 0) {
        // The caller stays in the queue; asking again at once would be a busy loop.
        if (exhausted.has(errnoName(-fd))) this.#doorClosedUntil = sharedMillis() + exhaustedPauseMillis
        return
      }
      this.#listening.add(new ListenerStream(this, fd, this.#takeMemory()))
      this.changed()
    }
  }

  /** A caller that a gate let in. */
  #adopt(fd: number): void {
    if (!this.#hasRoom()) return this.sockets.close(fd)
    this.#listening.add(new ListenerStream(this, fd, this.#takeMemory()))
    this.changed()
  }

  /** Sockets in commands that will not be carried out any more: nobody else knows of them. */
  #closeUnheard(): void {
    for (;;) {
      const message = receiveMessageOnPort(this.#port) as { message: MoverCommand } | undefined
      if (message === undefined) return
      const command = message.message
      if ((command.type === "connect" || command.type === "adopt") && command.fd !== undefined) {
        this.sockets.close(command.fd)
      }
    }
  }

  /** Lists the streams that are waited for, and keeps the memory of closed ones for the next. */
  #list(): void {
    this.#streams = []
    for (const stream of this.#listening) {
      if (stream.closed) {
        this.#listening.delete(stream)
        this.#spareMemory.push(stream.memory)
      } else this.#streams.push(stream)
    }
    for (const calling of [this.#calling, this.#express]) {
      for (const [connection, stream] of calling) {
        if (stream.closed) {
          calling.delete(connection)
          this.#spareMemory.push(stream.memory)
        } else if (stream.holdsSocket) this.#streams.push(stream)
      }
    }
    this.#listIsRight = true
  }

  #takeMemory(): StreamMemory {
    return this.#spareMemory.pop() ?? new StreamMemory()
  }

  #obey(): void {
    this.#wakeUp.hear()
    for (;;) {
      const message = receiveMessageOnPort(this.#port) as { message: MoverCommand } | undefined
      if (message === undefined) return
      this.#carryOut(message.message)
    }
  }

  #carryOut(command: MoverCommand): void {
    if (command.type === "register") this.#register(command)
    else if (command.type === "deregister") this.#deregister(command.region, command.call)
    else if (command.type === "admit") this.sessions.set(command.session, command)
    else if (command.type === "dismiss") this.#dismiss(command.session, command.call)
    else if (command.type === "connect") this.#connect(command)
    else if (command.type === "adopt") this.#adopt(command.fd)
    else if (command.type === "post") this.#post(command)
    else if (command.type === "forget") this.#prepared.delete(command.prepared)
    else if (command.type === "express") this.#express.get(command.connection)?.takeBack(command)
    else if (command.type === "cancel") {
      for (const calling of [this.#calling, this.#express])
        calling.get(command.connection)?.stop(command.move, "KV_CANCELLED", "the transfer was cancelled")
    } else if (command.type === "disconnect") {
      for (const calling of [this.#calling, this.#express])
        calling.get(command.connection)?.close("this side closed it")
    } else this.#running = false
  }

  #register(command: Extract<MoverCommand, { type: "register" }>): void {
    const { region, rkey, access } = command
    const known = { region, rkey, access, span: adoptSpan(command.span) }
    this.regionsById.set(region, known)
    this.regionsByKey.set(rkey, known)
    this.emit({ type: "done", call: command.call })
  }

  #deregister(id: number, call: number): void {
    const region = this.regionsById.get(id)
    if (region !== undefined) {
      this.regionsById.delete(id)
      this.regionsByKey.delete(region.rkey)
      for (const stream of this.#all()) if (stream.uses(id)) stream.close("a region it used was closed")
    }
    this.emit({ type: "done", call })
  }

  #dismiss(session: string, call: number): void {
    this.sessions.delete(session)
    for (const stream of this.#listening)
      if (stream.session === session) stream.close("the session was ended")
    this.emit({ type: "done", call })
  }

  #connect(command: ConnectCommand): void {
    const { connection, express } = command
    try {
      if (this.#room() <= 0) {
        if (command.fd !== undefined) this.sockets.close(command.fd)
        throw new KvError("KV_LIMIT", {
          what: `this rail already has ${streamsMax} streams`,
          next: "close some peers",
        })
      }
      const fd = command.fd ?? this.sockets.connect(command.host, command.port)
      const stream = new CallerStream(this, fd, this.#takeMemory(), command)
      if (express) this.#express.set(connection, stream)
      else this.#calling.set(connection, stream)
      this.changed()
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      this.emit({ type: "lost", connection, express, error: thrown.toJSON() })
    }
  }

  #post(command: PostCommand): void {
    const { connection, move, prepared, once } = command
    const pieces = command.pieces ?? this.#prepared.get(prepared)!
    if (!once) this.#prepared.set(prepared, pieces)
    const stream = this.#calling.get(connection)
    if (stream !== undefined && !stream.closed) return stream.start(command, pieces)
    const error = new KvError("KV_PEER_LOST", { what: "the stream had ended before the transfer began" })
    this.emit({ type: "stopped", connection, move, error: error.toJSON() })
  }
}

import { KvError } from "../../errors/kv-error.ts"
import { monotonicClock } from "../../os/clock.ts"
import { type ForeignMapping, mapForeign } from "../../os/foreign-memory.ts"
import { closeFile, receiveFiles } from "../../os/local-sockets.ts"
import type { Deadline, RegionDescriptor } from "../transport.ts"
import { type Handed, handed, mayRead, mayWrite, wantsMax } from "./frames.ts"
import type { LocalSocket } from "./local-socket.ts"
import { populateInTurns } from "./populate-in-turns.ts"
import { type BorrowedPage, slotsMax } from "./session-page.ts"

/** A region of the peer, mapped here. */
export interface RemoteRegion {
  readonly region: number
  readonly rkey: number
  readonly slot: number
  readonly length: number
  /** For reading in place; absent where the session may only write. */
  readonly read: ForeignMapping | undefined
  readonly write: ForeignMapping | undefined
  /** False once it was taken back. */
  mapped: boolean
}

/** The regions of one peer that this connection has mapped; asks for further ones, and gives them back. */
export class RemoteRegions {
  readonly #socket: LocalSocket
  readonly #filesFd: number
  readonly #page: BorrowedPage
  readonly #byRegion = new Map<number, RemoteRegion>()
  readonly #bySlot = new Map<number, RemoteRegion>()
  /** Requests go one after the other: the answer to one is all that the socket for files ever holds. */
  #turn: Promise<unknown> = Promise.resolve()
  #answer: { resolve(answers: readonly Handed[]): void; reject(error: KvError): void } | undefined
  #failure: KvError | undefined

  constructor(socket: LocalSocket, filesFd: number, page: BorrowedPage) {
    this.#socket = socket
    this.#filesFd = filesFd
    this.#page = page
  }

  /** The mapping that this key opens, if it is here and was not taken back. */
  find({ region, rkeys }: RegionDescriptor): RemoteRegion | undefined {
    const found = this.#byRegion.get(region)
    return found !== undefined && found.rkey === rkeys[0] && this.isLive(found) ? found : undefined
  }

  /** What the lender says of a region at this moment. */
  isLive(region: RemoteRegion): boolean {
    return region.mapped && this.#page.isLive(region.slot, region.rkey)
  }

  /** The region in a slot, once whatever is being mapped at this moment is there. */
  async settledInSlot(slot: number): Promise<RemoteRegion | undefined> {
    if (!this.#bySlot.has(slot)) await this.#turn
    return this.#bySlot.get(slot)
  }

  /**
   * Maps the regions that are not here yet, with their page faults, and returns all of them in the order asked for.
   * @throws KvError KV_RKEY_REJECTED, KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_PEER_LOST, KV_DEADLINE, KV_LIMIT, KV_OS.
   */
  async want(descriptors: readonly RegionDescriptor[], deadline: Deadline): Promise<RemoteRegion[]> {
    const run = this.#turn.then(() => this.#mapAll(descriptors, deadline))
    this.#turn = run.catch(() => {})
    return await run
  }

  /** The lender's answer to what was asked for last. Returns false when nothing was. */
  hear(answers: readonly Handed[]): boolean {
    if (this.#answer === undefined) return false
    this.#answer.resolve(answers)
    this.#answer = undefined
    return true
  }

  /** Unmaps a region whose jobs are all disposed of. */
  drop(region: RemoteRegion): void {
    region.mapped = false
    region.read?.[Symbol.dispose]()
    region.write?.[Symbol.dispose]()
    this.#bySlot.delete(region.slot)
    if (this.#byRegion.get(region.region) === region) this.#byRegion.delete(region.region)
  }

  /** No further region can be had. */
  fail(error: KvError): void {
    this.#failure = error
    this.#answer?.reject(error)
    this.#answer = undefined
  }

  /** Unmaps everything. @returns when a request that was under way has seen that it is over. */
  async dropAll(): Promise<void> {
    await this.#turn
    for (const region of [...this.#bySlot.values()]) this.drop(region)
  }

  async #mapAll(descriptors: readonly RegionDescriptor[], deadline: Deadline): Promise<RemoteRegion[]> {
    const missing = descriptors.filter((descriptor) => this.find(descriptor) === undefined)
    for (let at = 0; at < missing.length; at += wantsMax) {
      await this.#mapSome(missing.slice(at, at + wantsMax), deadline)
    }
    return descriptors.map((descriptor) => {
      const found = this.find(descriptor)
      if (found === undefined)
        throw rejected(descriptor.region, "the peer closed it while it was being mapped")
      return found
    })
  }

  async #mapSome(some: readonly RegionDescriptor[], deadline: Deadline): Promise<void> {
    const answers = await this.#ask(some, deadline)
    const granted = answers.filter(({ status }) => status === handed.ok).length
    const files = this.#takeFiles(granted)
    try {
      let next = 0
      for (const [i, answer] of answers.entries()) {
        const descriptor = some[i]!
        if (answer.status !== handed.ok) throw refusal(descriptor, answer.status, this.#socket.peerName)
        await this.#map(descriptor, answer, files[next++]!)
      }
    } finally {
      for (const file of files) closeFile(file)
    }
  }

  #ask(some: readonly RegionDescriptor[], deadline: Deadline): Promise<readonly Handed[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const wants = some.map(({ region, rkeys }) => ({ region, rkey: rkeys[0]! }))
    return new Promise((resolve, reject) => {
      const disarm = monotonicClock.after(deadline - performance.now(), () => {
        // The answer may still come, and would then be taken for another one: so this is the end.
        const error = new KvError("KV_DEADLINE", {
          what: `${this.#socket.peerName} did not hand over ${some.length} regions before the deadline`,
          next: "check that the peer is not stopped, or name the regions when you connect",
        })
        this.#answer = undefined
        reject(error)
        this.#socket.close(error.message)
      })
      this.#answer = {
        resolve: (answers) => {
          disarm()
          if (answers.length === some.length) resolve(answers)
          else {
            const what = `${this.#socket.peerName} answered ${answers.length} of ${some.length} regions`
            reject(new KvError("KV_WIRE_INVALID", { what }))
            this.#socket.close(what)
          }
        },
        reject: (error) => {
          disarm()
          reject(error)
        },
      }
      this.#socket.send({ kind: "want", wants })
    })
  }

  #takeFiles(expected: number): readonly number[] {
    if (expected === 0) return []
    const { files, mark, dropped } = receiveFiles(this.#filesFd, expected)
    if (files.length === expected && mark === expected) return files
    for (const file of files) closeFile(file)
    const error = new KvError(dropped ? "KV_OS" : "KV_WIRE_INVALID", {
      what: `${files.length} of ${expected} files of regions came from ${this.#socket.peerName}`,
      why: dropped
        ? "this process has no free file descriptors (EMFILE)"
        : "the peer said that they are all there, and they are not",
      next: dropped ? "raise the limit of open files (ulimit -n)" : "both sides must run kvferry",
    })
    // What the lender thinks we hold and what we hold differ now.
    if (!dropped) this.#socket.close(error.message)
    throw error
  }

  async #map({ region, rkeys }: RegionDescriptor, answer: Handed, fd: number): Promise<void> {
    const { slot, length, access } = answer
    const there = this.#bySlot.get(slot)
    // Asked for twice in one request.
    if (there?.region === region && there.rkey === rkeys[0]) return
    const good = Number.isSafeInteger(length) && length >= 1 && slot < slotsMax && there === undefined
    if (!good) {
      const what = `${this.#socket.peerName} described region ${region} as ${length} bytes in slot ${slot}`
      this.#socket.close(what)
      throw new KvError("KV_WIRE_INVALID", { what })
    }
    const name = `region ${region} of ${this.#socket.peerName}`
    const read = (access & mayRead) === 0 ? undefined : mapForeign(fd, length, { access: "read", name })
    let write: ForeignMapping | undefined
    try {
      if ((access & mayWrite) !== 0) write = mapForeign(fd, length, { access: "write", name })
      for (const mapping of [read, write]) if (mapping !== undefined) await populateInTurns(mapping)
    } catch (thrown) {
      read?.[Symbol.dispose]()
      write?.[Symbol.dispose]()
      throw thrown
    }
    const mapped: RemoteRegion = { region, rkey: rkeys[0]!, slot, length, read, write, mapped: true }
    this.#bySlot.set(slot, mapped)
    this.#byRegion.set(region, mapped)
  }
}

function refusal({ region }: RegionDescriptor, status: number, peer: string): KvError {
  if (status === handed.notGranted) {
    return new KvError("KV_PEER_UNTRUSTED", { what: `${peer} did not grant region ${region}` })
  }
  if (status === handed.limit) {
    return new KvError("KV_LIMIT", {
      what: `${peer} could not hand over region ${region}`,
      why: `it has no free file descriptor, or the connection uses ${slotsMax} regions already`,
      next: "raise the peer's limit of open files (ulimit -n), or use fewer regions",
    })
  }
  return rejected(region, "it is not, or no longer, its key")
}

/** A key that opens nothing. */
export function rejected(region: number, why: string): KvError {
  return new KvError("KV_RKEY_REJECTED", {
    what: `the key of region ${region} was rejected`,
    why,
    next: "connect again to fetch the peer's present descriptors",
  })
}

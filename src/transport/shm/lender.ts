import { closeSync, openSync } from "node:fs"
import { KvError } from "../../errors/kv-error.ts"
import { sendFiles } from "../../os/local-sockets.ts"
import type { Rights } from "../transport.ts"
import { type Frame, type Handed, handed, mayRead, mayWrite, type Want } from "./frames.ts"
import type { LocalSocket } from "./local-socket.ts"
import { LentPage } from "./session-page.ts"

/** How long a borrower has to give back what it only reads; after that it is left to its own checks. */
const returnMillis = 1000
/** How long a borrower has that may write: its memory cannot be used again before it has answered. */
const returnWritableMillis = 5000

/** A region as its endpoint offers it. */
export interface LentRegion {
  readonly rkey: number
  readonly fd: number
  readonly length: number
  readonly access: Rights
}

/** What a lender needs of its endpoint. */
export interface LenderOwner {
  readonly regions: ReadonlyMap<number, LentRegion>
  lenderGone(lender: Lender): void
}

interface Loan {
  readonly region: number
  readonly slot: number
  readonly writable: boolean
  /** Called when the borrower has given it back, or can use nothing any more. */
  returned: (() => void) | undefined
}

/**
 * The owner's side of one connection: hands out files of regions, takes them back, and keeps the page on which the
 * borrower sees what still counts.
 */
export class Lender {
  readonly session: string
  readonly #owner: LenderOwner
  readonly #socket: LocalSocket
  readonly #rights: Rights
  readonly #page: LentPage
  /** Regions that are handed over, by their slots. */
  readonly #loans = new Map<number, Loan>()
  #files: LocalSocket | undefined
  #ended = false

  /** @throws KvError KV_OS when no page can be had. */
  constructor(owner: LenderOwner, socket: LocalSocket, session: string, rights: Rights) {
    this.#owner = owner
    this.session = session
    this.#rights = rights
    this.#socket = socket
    this.#page = new LentPage(rights)
    socket.listener = { frame: (frame) => this.#hear(frame), closed: () => this.#gone() }
  }

  /** The borrower's second socket has come: the page goes over it, and the borrower may ask for regions. */
  join(files: LocalSocket): void {
    if (this.#files !== undefined) return files.close("the connection has its socket for files already")
    this.#files = files
    files.listener = {
      frame: () => this.#socket.close("a frame came over the socket for files"),
      closed: () => this.#socket.close("the socket for files was closed"),
    }
    const problem = sendFiles(files.fd, 0, [this.#page.fd])
    if (problem === 0) this.#socket.send({ kind: "ready" })
    else this.#socket.close(`the session page could not be sent (errno ${problem})`)
  }

  /**
   * Takes a region back. From this call on nothing counts that the borrower reads of it; resolves when it has unmapped
   * it, or has had its time.
   * @throws KvError KV_PEER_LOST when a borrower that may write did not answer: the memory is not safe to use again.
   */
  async recall(region: number): Promise<void> {
    const loans = [...this.#loans.values()].filter((loan) => loan.region === region)
    await Promise.all(loans.map((loan) => this.#recallLoan(loan)))
  }

  /**
   * Ends the session for this borrower.
   * @throws KvError KV_PEER_LOST as with `recall`.
   */
  async end(): Promise<void> {
    if (!this.#ended) {
      this.#ended = true
      this.#page.end()
      this.#socket.send({ kind: "ended" })
    }
    const writable = [...this.#loans.values()].some((loan) => loan.writable)
    const limit = writable ? returnWritableMillis : returnMillis
    if (await within(this.#socket.gone, limit)) return
    this.#socket.close("the borrower did not hang up in time")
    if (writable) throw this.#silent("the regions that it was handed", limit)
  }

  async #recallLoan(loan: Loan): Promise<void> {
    this.#page.close(loan.slot)
    const returned = new Promise<void>((resolve) => {
      loan.returned = resolve
    })
    this.#socket.send({ kind: "closed", slot: loan.slot })
    const limit = loan.writable ? returnWritableMillis : returnMillis
    if ((await within(returned, limit)) || !loan.writable) return
    this.#socket.close("the borrower did not give a region back in time")
    throw this.#silent(`region ${loan.region}`, limit)
  }

  #silent(what: string, limit: number): KvError {
    return new KvError("KV_PEER_LOST", {
      what: `${this.#socket.peerName} may still write to ${what}`,
      why: `it may write there, and did not give it back within ${limit} ms; a mapping cannot be taken away`,
      next: "end that process before you use the memory for anything else",
    })
  }

  #hear(frame: Frame): void {
    if (frame.kind === "want" && this.#files !== undefined) this.#hand(frame.wants, this.#files)
    else if (frame.kind === "returned" && this.#loans.get(frame.slot)?.returned !== undefined) {
      const loan = this.#loans.get(frame.slot)!
      this.#loans.delete(frame.slot)
      this.#page.free(frame.slot)
      loan.returned?.()
    } else this.#socket.close(`a frame "${frame.kind}" came where it has no place`)
  }

  /** Answers every want; the files of the granted ones go first, so that they are there when the answer is heard. */
  #hand(wants: readonly Want[], files: LocalSocket): void {
    const opened: number[] = []
    const given: number[] = []
    try {
      const answers = wants.map((want) => this.#answer(want, given, opened))
      const problem = given.length === 0 ? 0 : sendFiles(files.fd, given.length, given)
      // A borrower asks again when it has taken the files before: one that did not is not one of ours.
      if (problem === 0) this.#socket.send({ kind: "handed", answers })
      else this.#socket.close(`files could not be sent (errno ${problem})`)
    } finally {
      for (const fd of opened) closeSync(fd)
    }
  }

  #answer({ region, rkey }: Want, given: number[], opened: number[]): Handed {
    const refuse = (status: number): Handed => ({ status, slot: 0, access: 0, length: 0 })
    const lent = this.#owner.regions.get(region)
    if (lent === undefined || lent.rkey !== rkey || this.#ended) return refuse(handed.rkeyRejected)
    const read = this.#rights.read && lent.access.read
    const write = this.#rights.write && lent.access.write
    if (!read && !write) return refuse(handed.notGranted)
    let fd = lent.fd
    if (!write) {
      // Without this a borrower that may only read could map it writable, if the region is open for others to write.
      try {
        fd = openSync(`/proc/self/fd/${lent.fd}`, "r")
      } catch {
        return refuse(handed.limit)
      }
      opened.push(fd)
    }
    const known = [...this.#loans.values()].find(
      (loan) => loan.region === region && loan.returned === undefined,
    )
    const slot = known?.slot ?? this.#page.open(rkey)
    if (slot === undefined) return refuse(handed.limit)
    this.#loans.set(slot, { region, slot, writable: write, returned: undefined })
    given.push(fd)
    return {
      status: handed.ok,
      slot,
      access: (read ? mayRead : 0) | (write ? mayWrite : 0),
      length: lent.length,
    }
  }

  #gone(): void {
    this.#ended = true
    this.#files?.close("the connection is over")
    for (const loan of this.#loans.values()) loan.returned?.()
    this.#loans.clear()
    this.#page[Symbol.dispose]()
    this.#owner.lenderGone(this)
  }
}

/** True when `done` settled in time. */
async function within(done: Promise<void>, millis: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), millis)
  })
  try {
    return await Promise.race([done.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

import { SharedPage, sharedPageWords } from "../../os/shared-page.ts"
import type { Rights } from "../transport.ts"

/**
 * The page on which a lender tells one borrower the truth about its grants, without a call.
 *
 * Words: mark, state, number of closings, rights; then for each region handed over a pair (state, key) in its slot.
 */
const mark = 0x3150464b // "KFP1"
const at = { mark: 0, state: 1, closings: 2, rights: 3, slots: 16 } as const
const alive = 1
const ended = 2
const live = 1
const closed = 2

/** Regions that one page can speak of, and so one connection can use at once. */
export const slotsMax = (sharedPageWords - at.slots) / 2

/** The lender's side: it alone can write. */
export class LentPage implements Disposable {
  readonly #page: SharedPage
  readonly #words: Uint32Array
  readonly #free: number[] = []
  #used = 0

  /** @throws KvError KV_OS. */
  constructor(rights: Rights) {
    this.#page = SharedPage.create("session")
    this.#words = this.#page.words
    this.#words[at.mark] = mark
    this.#words[at.rights] = (rights.read ? 1 : 0) | (rights.write ? 2 : 0)
    Atomics.store(this.#words, at.state, alive)
  }

  /** The file to hand over. */
  get fd(): number {
    return this.#page.fd!
  }

  /** Takes a slot and declares its key live; undefined when all are in use. */
  open(rkey: number): number | undefined {
    const slot = this.#free.pop() ?? (this.#used < slotsMax ? this.#used++ : undefined)
    if (slot === undefined) return undefined
    this.#words[at.slots + slot * 2 + 1] = rkey
    Atomics.store(this.#words, at.slots + slot * 2, live)
    return slot
  }

  /** From now on nothing counts that was moved with this slot's key. */
  close(slot: number): void {
    Atomics.store(this.#words, at.slots + slot * 2, closed)
    Atomics.add(this.#words, at.closings, 1)
  }

  /** The borrower has given the region back: the slot may serve another one. */
  free(slot: number): void {
    this.#free.push(slot)
  }

  /** From now on nothing counts at all. */
  end(): void {
    Atomics.store(this.#words, at.state, ended)
  }

  [Symbol.dispose](): void {
    this.end()
    this.#page[Symbol.dispose]()
  }
}

/** The borrower's side: what the lender claims, read anew at each look. */
export class BorrowedPage implements Disposable {
  readonly #page: SharedPage
  #words: Uint32Array | undefined

  /** Maps the page that came as `fd`, which stays the caller's. @throws KvError KV_PEER_REFUSED, KV_OS. */
  constructor(fd: number, lender: string) {
    this.#page = SharedPage.adopt(fd, `the session page of ${lender}`)
    this.#words = this.#page.words
  }

  /** True when it is a page of ours at all. */
  get valid(): boolean {
    return this.#words?.[at.mark] === mark
  }

  /** False when the lender has ended the session. */
  get alive(): boolean {
    return this.#words !== undefined && Atomics.load(this.#words, at.state) === alive
  }

  /** How many regions were closed so far: while it is the same, every slot that was live is live. */
  get closings(): number {
    return this.#words === undefined ? 0 : Atomics.load(this.#words, at.closings)
  }

  get rights(): Rights {
    const bits = this.#words?.[at.rights] ?? 0
    return { read: (bits & 1) !== 0, write: (bits & 2) !== 0 }
  }

  /** True while `rkey` is the live key of `slot`. */
  isLive(slot: number, rkey: number): boolean {
    const words = this.#words
    if (words === undefined) return false
    const place = at.slots + slot * 2
    return Atomics.load(words, place) === live && words[place + 1] === rkey
  }

  [Symbol.dispose](): void {
    // The words now show somebody else's page, or nothing.
    this.#words = undefined
    this.#page[Symbol.dispose]()
  }
}

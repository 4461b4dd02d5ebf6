import { KvError } from "../../errors/kv-error.ts"
import type { CallWatch } from "../call-watch.ts"
import { type ControlBlock, ControlMemory } from "../control-memory.ts"
import { nixlAbi as abi, nixlSymbols, processSymbols } from "../ffi/nixl.ts"
import { type Bound, bindLibrary, bindProcess } from "../ffi/symbols.ts"

type Functions = Bound<typeof nixlSymbols>
type Name = keyof typeof nixlSymbols

const names = Object.keys(nixlSymbols) as Name[]

/** The function that a `CallWatch` speaks of, by its place in the table. */
export const nixlFunctionName = (index: number): string => names[index] ?? "no function"

/** NIXL's C library in one thread: its functions, and the memory that they write their results into. */
export class NixlLibrary {
  readonly file: string
  readonly call: Functions
  readonly free: (address: number) => number
  readonly #results: ControlBlock
  #scratch: ControlBlock

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE when it cannot be loaded, lacks a function, or is the stub. */
  constructor(file: string, watch: CallWatch) {
    const memory = new ControlMemory(8192)
    this.#results = memory.take(64)
    this.#scratch = memory.take(4096)
    const { functions } = bindLibrary([file], nixlSymbols)
    const quiet: Name = "nixl_capi_xfer_dlist_add_desc"
    const entries = names.map((name, index) => {
      const call = functions[name] as (...args: (number | string)[]) => number
      // One call for each piece of a transfer, and nothing in it can block.
      return [name, name === quiet ? call : watch.watched(index, call)]
    })
    this.file = file
    this.call = Object.fromEntries(entries) as Functions
    this.free = bindProcess(processSymbols).free
    if ((this.call.nixl_capi_is_stub() & 0xff) !== 0) {
      throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
        what: `${file} is NIXL's stub: it has the functions, and NIXL itself was not found by it`,
        next: "install NIXL's own libraries beside it, or name another file with --nixl-lib",
      })
    }
  }

  /** Calls a function that hands back a pointer, and returns it. @throws KvError KV_TRANSPORT_UNAVAILABLE. */
  handle(name: string, call: (result: number) => number): number {
    this.expect(name, call(this.result(0)))
    return this.resultAt(0)
  }

  /** Where a function writes its `index`th result, 8 bytes; zeroed. */
  result(index: number): number {
    this.#results.data.setBigUint64(index * 8, 0n, true)
    return this.#results.address + index * 8
  }

  /** What was written there. */
  resultAt(index: number): number {
    return Number(this.#results.data.getBigUint64(index * 8, true))
  }

  /** Zeroed memory for what one call is given; the next asker gets the same. */
  scratch(byteLength: number): ControlBlock {
    if (byteLength > this.#scratch.byteLength) {
      const room = 2 ** Math.ceil(Math.log2(byteLength))
      this.#scratch = new ControlMemory(room).take(room)
    }
    this.#scratch.u8.fill(0)
    return this.#scratch
  }

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE naming function and status, unless the status is success. */
  expect(name: string, status: number): void {
    if (status === abi.NIXL_CAPI_SUCCESS) return
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `NIXL answered ${statusName(status)} to ${name}`,
      why: "its C interface says no more; its log does, with NIXL_LOG_LEVEL=INFO in the environment",
    })
  }
}

/** A status by its name in NIXL's header. */
export function statusName(status: number): string {
  const found = Object.entries(abi).find(
    ([name, value]) => value === status && /^NIXL_CAPI_(SUCCESS|IN_PROG|ERROR_)/.test(name),
  )
  return found?.[0] ?? `status ${status}`
}

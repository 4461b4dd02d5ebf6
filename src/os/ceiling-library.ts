import { getSystemErrorName } from "node:util"
import { KvError } from "../errors/kv-error.ts"
import type { MemorySpan } from "../memory/host-memory.ts"
import { type ControlBlock, ControlMemory } from "./control-memory.ts"
import { type Bound, bindLibrary, type SymbolTable } from "./ffi/symbols.ts"
import { Span } from "./memory-span.ts"

/** `tools/ceilings/ceilings.h`, as far as the benchmark calls it. */
const table = {
  // int64_t ceiling_memcpy(int64_t count, const double *source, const double *target, const uint32_t *length,
  //                        int threads, int repeats, int pause_micros, double *micros)
  ceiling_memcpy: { result: "i64", parameters: ["i64", "ptr", "ptr", "ptr", "i32", "i32", "i32", "ptr"] },
  // int64_t ceiling_vm_read(int pid, …as above)
  ceiling_vm_read: {
    result: "i64",
    parameters: ["i32", "i64", "ptr", "ptr", "ptr", "i32", "i32", "i32", "ptr"],
  },
  // int64_t ceiling_map(const char *path, size_t length, int writable)
  ceiling_map: { result: "i64", parameters: ["cstring", "usize", "i32"] },
  // int64_t ceiling_streams(int streams, int jobs)
  ceiling_streams: { result: "i64", parameters: ["i32", "i32"] },
  // int64_t ceiling_stream_places(int64_t handle, int stream, int job, int64_t count, const double *address,
  //                               const uint32_t *length)
  ceiling_stream_places: { result: "i64", parameters: ["i64", "i32", "i32", "i64", "ptr", "ptr"] },
  // int64_t ceiling_stream_listen(int64_t handle)
  ceiling_stream_listen: { result: "i64", parameters: ["i64"] },
  // int64_t ceiling_stream_connect(int64_t handle, int port)
  ceiling_stream_connect: { result: "i64", parameters: ["i64", "i32"] },
  // int64_t ceiling_stream_read(int64_t handle, int job, int spin, int repeats, int pause_micros, double *micros)
  ceiling_stream_read: { result: "i64", parameters: ["i64", "i32", "i32", "i32", "i32", "ptr"] },
  // int64_t ceiling_wake_serve(int64_t address)
  ceiling_wake_serve: { result: "i64", parameters: ["i64"] },
  // int64_t ceiling_wake_call(int64_t address, int spin, int repeats, int pause_micros, double *micros)
  ceiling_wake_call: { result: "i64", parameters: ["i64", "i32", "i32", "i32", "ptr"] },
} as const satisfies SymbolTable

/** Repeats of one call at most: their times lie in one block of control memory. */
const repeatsMax = 100_000

/** How often a ceiling runs, and how long it sleeps before each time. */
export interface CeilingRepeats {
  readonly repeats: number
  readonly pauseMicros: number
}

/** Runs of bytes as addresses that spans have checked. */
export interface CeilingRuns {
  readonly sourceAddress: Float64Array
  readonly targetAddress: Float64Array
  readonly length: Uint32Array
}

/** The same runs where C can read them. */
export interface CeilingPieces {
  readonly count: number
  readonly source: ControlBlock
  readonly target: ControlBlock
  readonly length: ControlBlock
}

/**
 * The benchmark's own C functions, in a library that it compiled: the ceilings that kvferry is held against.
 *
 * Every call blocks the calling thread. Its owner is a process of the benchmark, which may be killed at any moment.
 */
export class CeilingLibrary {
  readonly #c: Bound<typeof table>
  readonly #times = new ControlMemory(repeatsMax * 8)
  readonly #micros: ControlBlock

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE with the loader's words. */
  constructor(file: string) {
    this.#c = bindLibrary([file], table).functions
    this.#micros = this.#times.take(repeatsMax * 8)
  }

  /** A memory file of another process, mapped into this one until this one ends. */
  map(path: string, byteLength: number, access: "read" | "write"): MemorySpan {
    const address = this.#c.ceiling_map(path, byteLength, access === "write" ? 1 : 0)
    return new Span(checked("map", address), byteLength)
  }

  pieces({ sourceAddress, targetAddress, length }: CeilingRuns): CeilingPieces {
    const memory = new ControlMemory(length.length * 20 + 4 * 64)
    return {
      count: length.length,
      source: doubles(memory, sourceAddress),
      target: doubles(memory, targetAddress),
      length: words(memory, length),
    }
  }

  /** Copies the pieces with `memcpy`. Returns the time of each repeat in microseconds, as all of these do. */
  copy(pieces: CeilingPieces, threads: number, { repeats, pauseMicros }: CeilingRepeats): number[] {
    const { count, source, target, length } = pieces
    const [s, t, l] = [source.address, target.address, length.address]
    const { address } = this.#micros
    const done = this.#c.ceiling_memcpy(count, s, t, l, threads, repeats, pauseMicros, address)
    return timed("memcpy", done, repeats, this.#micros)
  }

  /** Pulls the pieces out of another process with `process_vm_readv`; source addresses are that process's own. */
  vmRead(
    pid: number,
    pieces: CeilingPieces,
    threads: number,
    { repeats, pauseMicros }: CeilingRepeats,
  ): number[] {
    const { count, source, target, length } = pieces
    const [s, t, l] = [source.address, target.address, length.address]
    const { address } = this.#micros
    const done = this.#c.ceiling_vm_read(pid, count, s, t, l, threads, repeats, pauseMicros, address)
    return timed("process_vm_readv", done, repeats, this.#micros)
  }

  streams(streams: number, jobs: number): CeilingStreams {
    const handle = checked("streams", this.#c.ceiling_streams(streams, jobs))
    return new CeilingStreams(this.#c, handle, this.#micros)
  }

  /** Answers on a page that both processes map, on a thread of its own. */
  serveWake(page: MemorySpan): void {
    checked("wake", this.#c.ceiling_wake_serve(page.addressOf(0, 256)))
  }

  /** Asks there and waits for the answer. */
  wake(page: MemorySpan, spin: boolean, { repeats, pauseMicros }: CeilingRepeats): number[] {
    const { address } = this.#micros
    const done = this.#c.ceiling_wake_call(
      page.addressOf(0, 256),
      spin ? 1 : 0,
      repeats,
      pauseMicros,
      address,
    )
    return timed("futex", done, repeats, this.#micros)
  }
}

/** One side of plain TCP streams: the same scatter/gather lists again and again. */
export class CeilingStreams {
  readonly #c: Bound<typeof table>
  readonly #handle: number
  readonly #micros: ControlBlock

  constructor(c: Bound<typeof table>, handle: number, micros: ControlBlock) {
    this.#c = c
    this.#handle = handle
    this.#micros = micros
  }

  /** What job `job` moves over stream `stream`; addresses were made by live spans. */
  place(stream: number, job: number, address: Float64Array, length: Uint32Array): void {
    if (length.length === 0) return
    // The lists are copied by the callee, so this memory is wanted for the call only.
    using memory = new ControlMemory(length.length * 12 + 2 * 64)
    const [a, l] = [doubles(memory, address), words(memory, length)]
    const done = this.#c.ceiling_stream_places(this.#handle, stream, job, length.length, a.address, l.address)
    checked("streams", done)
  }

  /** Returns the port. */
  listen(): number {
    return checked("listen", this.#c.ceiling_stream_listen(this.#handle))
  }

  connect(port: number): void {
    checked("connect", this.#c.ceiling_stream_connect(this.#handle, port))
  }

  /** Reads a job; a read that `spin`s keeps both sides asking the kernel again and again. */
  read(job: number, spin: boolean, { repeats, pauseMicros }: CeilingRepeats): number[] {
    const { address } = this.#micros
    const done = this.#c.ceiling_stream_read(this.#handle, job, spin ? 1 : 0, repeats, pauseMicros, address)
    return timed("streams", done, repeats, this.#micros)
  }
}

function timed(what: string, result: number, repeats: number, { u8 }: ControlBlock): number[] {
  checked(what, result)
  return Array.from(new Float64Array(u8.buffer, u8.byteOffset, repeats))
}

function doubles(memory: ControlMemory, values: Float64Array): ControlBlock {
  const block = memory.take(values.length * 8)
  new Float64Array(block.u8.buffer, block.u8.byteOffset, values.length).set(values)
  return block
}

function words(memory: ControlMemory, values: Uint32Array): ControlBlock {
  const block = memory.take(values.length * 4)
  block.u32.set(values)
  return block
}

function checked(what: string, result: number): number {
  if (result >= 0) return result
  throw new KvError("KV_OS", {
    what: `the ceiling ${what} failed`,
    why: getSystemErrorName(result),
    next: "run the benchmark without its C ceilings (--no-compiler)",
  })
}

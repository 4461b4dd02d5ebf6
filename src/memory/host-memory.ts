/** A span as another thread of this process receives it. Only `os/` makes one and takes one back. */
export interface SharedSpan {
  readonly address: number
  readonly byteLength: number
}

/** A run of memory whose address never leaves the edge unchecked. */
export interface MemorySpan {
  readonly byteLength: number
  /**
   * The address of `offset`, after checking that `length` bytes from there lie in the span.
   * @throws KvError KV_REGION_BOUNDS with the numbers; also when the span is closed.
   */
  addressOf(offset: number, length: number): number
  /**
   * A view without a copy. The span keeps the memory; keep the span.
   * @throws KvError KV_REGION_BOUNDS; KV_LIMIT for more than 2 GiB (a larger view aborts Node 20).
   */
  view(offset: number, length: number): Uint8Array<ArrayBuffer>
  /** For a thread of this process that maps nothing itself. */
  share(): SharedSpan
}

/** Memory that we mapped, and its owner. */
export interface HostMapping extends MemorySpan, Disposable {
  /** The memfd behind it, for a process that maps the same pages. */
  readonly fd: number
}

/** Where pools get their memory; `os/` has the real one. */
export interface HostMemory {
  /** Maps `byteLength` zeroed bytes. @throws KvError KV_OS when the machine refuses. */
  map(byteLength: number, name: string): HostMapping
}

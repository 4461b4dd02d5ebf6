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
   *
   * A view of another process's memory is for reading: where the span was mapped read-only, a write to it ends this
   * process with SIGSEGV, and nothing can catch that.
   * @throws KvError KV_REGION_BOUNDS; KV_LIMIT for more than 2 GiB (a larger view aborts Node 20).
   */
  view(offset: number, length: number): Uint8Array<ArrayBuffer>
  /** For a thread of this process that maps nothing itself. */
  share(): SharedSpan
}

/** Memory that we mapped, and its owner. */
export interface HostMapping extends MemorySpan, Disposable {
  /** The memfd behind it, for a process that maps the same pages. It starts at the span's first byte. */
  readonly fd: number
  /** True when it lies in the machine's reserved huge pages. */
  readonly reserved: boolean
  /** What pages the kernel has given so far; looked up when it is read, which takes a millisecond a GB or more. */
  readonly pages: PageGrant
  /** What was done about NUMA, for people to read. */
  readonly placement: string
  /**
   * Takes the page faults of a range now, so that no transfer has to: the content stays as it is.
   *
   * It blocks for about 0.3 s per GB that was never touched; ask for slices where that matters.
   * @throws KvError KV_REGION_BOUNDS; KV_OS with the numbers when the machine, or its memory limit, has not that much
   *   left. Without this a process learns it from SIGBUS, or from the kernel's OOM killer.
   */
  populate(offset: number, length: number): void
}

/** The pages behind a mapping. */
export interface PageGrant {
  /** `reserved`: out of the machine's pool of huge pages; `transparent`: huge where the kernel could; else `small`. */
  readonly kind: "reserved" | "transparent" | "small"
  /** How many bytes of it are mapped by 2 MiB pages at this moment. */
  readonly hugeBytes: number
  readonly why: string
}

/** How memory is mapped. */
export interface MappingOptions {
  /**
   * `transparent` unless told: 2 MiB pages where the kernel gives them. `reserved`: out of the machine's reserved huge
   * pages while enough of them are free, else as `transparent`. `small`: no huge pages.
   */
  readonly pages?: PageGrant["kind"]
  /** The NUMA node that shall hold it. Nothing is done on a machine with one node. */
  readonly node?: number
  /** True to take all page faults before `map` returns. */
  readonly populate?: boolean
}

/** Where pools get their memory; `os/` has the real one. */
export interface HostMemory {
  /**
   * Maps `byteLength` zeroed bytes.
   * @throws KvError KV_OS when the machine refuses; KV_USAGE for a NUMA node that is not there.
   */
  map(byteLength: number, name: string, options?: MappingOptions): HostMapping
}

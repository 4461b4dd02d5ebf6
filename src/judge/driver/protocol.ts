/**
 * What the judge and the driver of an engine say to each other: one JSON line for a question, one for its answer.
 *
 * A driver is one process with one agent of one engine and that agent's memory. It is asked one thing at a time. The judge maps
 * the driver's memory (`/proc/PID/fd/N`), writes what an engine shall move and looks at what it has moved: no driver checks
 * itself.
 *
 * Question: `{"call": n, "op": name, ...arguments}`. Answer: `{"call": n, "answer": {...}}` or
 * `{"call": n, "error": {"code": text, "text": text}}`, where `code` is the engine's own word. Columns of numbers are base64 of
 * little-endian arrays. A question is answered in the time that it names, or at once: what lasts is asked about with `wait`.
 */

/** What an engine can be asked to do. A case that needs more than a driver lists is "not supported" by it. */
export const capabilities = [
  /** The target pulls. */
  "read",
  /** The source pushes. */
  "write",
  /** Any bytes to any place, as lists of pieces. */
  "pieces",
  /** Sequences of a paged cache, by block tables; the source says for how long they are lent. */
  "blocks",
  /** A word with the end of a transfer, for the other side. */
  "notify",
  /** The death of a peer ends its transfers with an error, soon and by itself. */
  "peer-death",
  /** A transfer can be taken back. */
  "cancel",
  /** A transfer ends by itself at its deadline. */
  "deadline",
  /** Several transfers of one agent at the same time. */
  "concurrent",
  /** Posts from several threads at the same time. */
  "threads",
  /** More than one peer. */
  "peers",
  /** Memory can be taken back from peers. */
  "deregister",
  /** A read that crosses a reuse of its blocks fails. */
  "epochs",
  /**
   * Bytes are proven, at the levels `none`, `epoch`, `sampled` and `full`: when those of a read are not what was lent, or those of a
   * write not what its blocks held when they were first proven since their last `reuse`, it fails.
   */
  "integrity",
  /** Ranks with different heads read from each other. */
  "heads",
  /** A receipt says what moved, over which path and rails. */
  "receipts",
  /** A path that was asked for and is not there is refused. */
  "refuses-paths",
] as const

export type Capability = (typeof capabilities)[number]

/** The level at which an agent is driven: lists of pieces, or sequences of a paged KV cache. */
export type Level = "pieces" | "blocks"

/** The cache of an agent under judgement, head-major: one region for each layer, of `blocks` blocks. */
export interface CacheShape {
  readonly layers: number
  readonly blocks: number
  readonly blockTokens: number
  /** Heads of the whole model, and those that this rank holds. */
  readonly kvHeads: number
  readonly firstHead: number
  readonly heads: number
  readonly headDim: number
  readonly elementBytes: number
}

/** Pieces of a transfer, as seen by the agent that posts it. Base64 of little-endian columns, one entry a piece. */
export interface PieceColumns {
  readonly pieces: number
  /** u32: its own regions. */
  readonly localRegion: string
  /** f64: bytes from the region's start. */
  readonly localOffset: string
  readonly remoteRegion: string
  readonly remoteOffset: string
  /** u32: bytes. */
  readonly length: string
}

/** A transfer at level `blocks`, beside its pieces: what an engine that knows block tables uses in their place. */
export interface SequenceMove {
  /** What `lend` answered on the other side. */
  readonly offer: string
  /** Blocks of the agent that posts: into these a read lands, from these a write comes. */
  readonly blocks: readonly number[]
  readonly tokens: number
}

/** Questions, by their name. */
export interface Questions {
  /** Opens the engine's agent, makes its memory (zeroed, populated) and registers it. Once, and first. */
  open: {
    readonly name: string
    readonly level: Level
    readonly cache: CacheShape
    /** The engine's path or backend: "UCX", "LIBFABRIC", "tcp", "shm"; its default when absent. */
    readonly path?: string
    /** Streams or rails, where the engine has them. */
    readonly rails?: number
    /** Engine options as told by the user, for instance `progress: false`, `integrity: "full"`. */
    readonly options: Readonly<Record<string, string | number | boolean>>
  }
  /** A card for one peer: all that it needs to reach this agent. */
  invite: { readonly peer: string }
  /** Makes this agent know a peer by the card that the peer's `invite` answered. A known name is replaced. */
  connect: { readonly peer: string; readonly card: string }
  /** Forgets a peer. */
  disconnect: { readonly peer: string }
  /** Lends blocks to a peer, for reading or to be filled. Engines without leases answer `offer: ""`. */
  lend: { readonly blocks: readonly number[]; readonly tokens: number; readonly access: "read" | "write" }
  /** Takes a lease back. Answered when the blocks are the owner's again: no peer writes into them any more. */
  withdraw: { readonly offer: string }
  /** Says that blocks were given to another sequence: their stamps move. Before the judge writes the new bytes. */
  reuse: { readonly blocks: readonly number[] }
  /** Prepares a transfer once; it can be posted many times, one at a time. */
  prepare: {
    readonly transfer: number
    readonly peer: string
    readonly direction: "read" | "write"
    readonly pieces: PieceColumns
    readonly sequence?: SequenceMove
    /** How much is checked, where the engine has levels. */
    readonly integrity?: string
    /** A word for the other side, with each end of this transfer. */
    readonly note?: string
  }
  /** Starts it. Answers as soon as the engine lets go of the caller. */
  post: { readonly transfer: number; readonly timeoutMillis: number }
  /** Starts several, each on a thread of its own, all at the same moment. */
  postTogether: { readonly transfers: readonly number[]; readonly timeoutMillis: number }
  /** Looks for at most so long whether it has ended. */
  wait: { readonly transfer: number; readonly millis: number }
  cancel: { readonly transfer: number }
  /** Forgets a transfer that has ended, or was never posted. */
  release: { readonly transfer: number }
  /** What peers said since the last question, in order. */
  notes: Record<never, never>
  /** Whether this agent's process keeps calling its engine while nothing is asked of it. For engines without a thread of their own. */
  poll: { readonly on: boolean }
  /** Takes all memory back from peers. The memory stays. */
  deregister: Record<never, never>
  /** Posts each of the transfers and waits for all, again and again, and takes the time of each round. */
  measure: {
    readonly transfers: readonly number[]
    /** Rounds; as many as fit into `millis` when 0. */
    readonly rounds: number
    readonly millis: number
    readonly pauseMicros: number
    /** Threads that post; the transfers are dealt over them. */
    readonly threads: number
  }
  /** What the process has used so far. */
  usage: Record<never, never>
  /** Ends the process after the answer. */
  close: Record<never, never>
}

/** How a transfer stands. `pending` is no end. */
export type TransferState = "pending" | "done" | "failed" | "cancelled"

/** Answers, by the question's name. */
export interface Answers {
  open: {
    /** For people: engine, version, backend, provider, settings. */
    readonly about: string
    readonly version: string
    /** Files of the engine's own libraries that the process has loaded, where that tells something. */
    readonly libraries: readonly string[]
    readonly capabilities: readonly Capability[]
    /** Of capabilities that it does not list, why not. */
    readonly reasons?: { readonly [C in Capability]?: string }
    /** One file for each region, and its bytes. */
    readonly memory: readonly { readonly path: string; readonly bytes: number }[]
    readonly micros: { readonly open: number; readonly register: number }
  }
  invite: { readonly card: string }
  /** The path that the engine says it uses to this peer, where it says so. */
  connect: { readonly path?: string }
  disconnect: Record<never, never>
  lend: { readonly offer: string }
  withdraw: Record<never, never>
  reuse: Record<never, never>
  prepare: { readonly micros: number }
  post: Record<never, never>
  postTogether: Record<never, never>
  wait: {
    readonly state: TransferState
    /** In the engine's words. */
    readonly error?: EngineError
    readonly receipt?: EngineReceipt
  }
  cancel: Record<never, never>
  release: Record<never, never>
  notes: { readonly notes: readonly { readonly from: string; readonly text: string }[] }
  poll: Record<never, never>
  deregister: Record<never, never>
  measure: { readonly micros: readonly number[]; readonly cpuMicros: number }
  usage: { readonly cpuMicros: number; readonly residentBytes: number }
  close: Record<never, never>
}

/** What an engine said of a failure. */
export interface EngineError {
  readonly code: string
  readonly text: string
}

/** What an engine says it has done. */
export interface EngineReceipt {
  readonly bytes: number
  readonly path: string
  readonly rails: readonly { readonly rail: string; readonly bytes: number }[]
  /** The level of proof and what came of it: "full identical", "epoch current", "none unchecked". */
  readonly integrity?: string
  /** Where its proof has found the first wrong bytes, where it says so. */
  readonly difference?: ProofDifference
  /** What else a receipt of a sequence says, where it says so. */
  readonly sequence?: SequenceReceipt
}

/** What a receipt says of any transfer. */
export type BytesReceipt = Omit<EngineReceipt, "sequence" | "difference">

/** A unit of a proof: one layer of one of the source's blocks, by its place in the sequence. */
export interface ProofDifference {
  readonly layer: number
  readonly block: number
}

/** A receipt's own words on the transfer of a sequence. */
export interface SequenceReceipt {
  /** The agent whose bytes were moved, and the one that has them now, by their names. */
  readonly source: string
  readonly target: string
  readonly direction: "read" | "write"
  readonly tokens: number
  readonly layers: number
  /** Blocks of the target. */
  readonly blocks: number
  /** Hashes that were compared: one for a layer of a block of the source. */
  readonly hashes: number
  /** Names this transfer alone. */
  readonly ticket: string
}

export type Op = keyof Questions

/** One line to a driver. */
export type Question<O extends Op = Op> = { readonly call: number; readonly op: O } & Questions[O]

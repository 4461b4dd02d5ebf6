import type { ScheduleOptions } from "./schedule-terms.ts"

/** A change to one compiled file: `find` stands there exactly once. */
export interface Patch {
  /** Below the compiled sources. */
  readonly file: string
  readonly find: string
  readonly put: string
}

/** A way to break agents or fabrics, and what they must be convicted of. */
export interface Mutation {
  readonly name: string
  readonly patches?: readonly Patch[]
  readonly settings?: Omit<ScheduleOptions, "seed">
  readonly convicts: RegExp
  /** For `npm run sim -- --mutations` only: most of these take hundreds of schedules. */
  readonly slow?: true
}

const patch = (file: string, find: string, put: string): Patch => ({ file, find, put })
const corrupting = { transportFaults: ["corrupt"] } as const

/** Breakages of agents: each is a line of the compiled sources that somebody could get wrong. */
const ofAgents: readonly Mutation[] = [
  {
    name: "a stamp does not move when its block is reused",
    patches: [patch("memory/block-allocator.js", "Atomics.add(this.#epochs, block, 1);", "")],
    convicts: /^P4/,
  },
  {
    name: "a stamp moves only when its block is handed out again",
    patches: [
      patch("memory/block-allocator.js", "Atomics.add(this.#epochs, block, 1);", ""),
      patch(
        "memory/block-allocator.js",
        "this.#taken[block] = 1;",
        "(this.#taken[block] = 1, Atomics.add(this.#epochs, block, 1));",
      ),
    ],
    convicts: /^P4/,
  },
  {
    name: "stamps are looked at before the bytes have moved",
    patches: [
      patch(
        "agent/prepared-read.js",
        "const moved = await this.#move.post(run);",
        "if (this.#stamps !== undefined) await proveEpochs(run, lease, this.#stamps); const moved = await this.#move.post(run);",
      ),
      patch(
        "agent/prepared-read.js",
        "if (this.#stamps !== undefined)\n            await proveEpochs(run, lease, this.#stamps);",
        "",
      ),
    ],
    convicts: /^P4/,
  },
  {
    name: "a writer is not fenced off before its room is given back",
    patches: [patch("agent/lease-book.js", "if (!mayStillWrite)", "if (true)")],
    convicts: /^P[26]/,
    slow: true,
  },
  {
    name: "two transfers fill one lease",
    patches: [
      patch("agent/lease-book.js", '!first && entry.offer.access === "write"', "false"),
      patch("agent/peer.js", "if (this.#filling.has(lease))", "if (false)"),
    ],
    convicts: /^P2/,
  },
  {
    name: "a lease never expires",
    patches: [
      patch(
        "agent/lease-book.js",
        'this.#options.clock.after(left, () => this.#end(entry, "expire"));',
        "() => {};",
      ),
    ],
    convicts: /^P7/,
  },
  {
    name: "the source does not confirm the lease at the end of a pull",
    patches: [
      patch("agent/pull.js", "await peer.release(options.lease, {", "void peer.release(options.lease, {"),
    ],
    convicts: /^P4/,
    slow: true,
  },
  {
    name: "hashes are made and not compared",
    patches: [patch("agent/proof.js", "firstDifferentBlock(sealed, found, found.length)", "undefined")],
    settings: corrupting,
    convicts: /^P1/,
  },
  {
    name: "a read is delivered without its proof",
    patches: [patch("agent/prepared-read.js", "if (seals !== undefined) {", "if (false) {")],
    convicts: /^P1/,
  },
  {
    name: "an owner takes room for filled without a look at the hashes",
    patches: [patch("agent/caller.js", "if (needsHashes(level)) {", "if (false) {")],
    settings: corrupting,
    convicts: /^P1/,
    slow: true,
  },
  {
    name: "blocks are read in the wrong order",
    patches: [
      patch(
        "agent/prepared-read.js",
        "blocks: granted.blocks,\n        }, {",
        "blocks: granted.blocks.toReversed(),\n        }, {",
      ),
    ],
    convicts: /^P1/,
  },
  {
    name: "a target is told reusable before its transfer has stopped",
    patches: [
      patch(
        "agent/prepared-read.js",
        "const moved = await this.#move.post(run);",
        `const moved = await Promise.race([this.#move.post(run), new Promise((_, reject) => {
          run.signal.addEventListener("abort", () => reject(new KvError("KV_CANCELLED", { what: "early" })))
        })]);`,
      ),
    ],
    convicts: /^P2/,
    slow: true,
  },
  {
    name: "a receipt names another path",
    patches: [patch("agent/ticket.js", "path: { transport: facts.transport,", 'path: { transport: "nic",')],
    convicts: /^P3/,
  },
  {
    name: "a caller's patience does not count when somebody else called first",
    patches: [
      patch("agent/peers.js", "return this.#within(known, address, timeoutMillis);", "return known;"),
    ],
    convicts: /^P2/,
    slow: true,
  },
  {
    name: "a key that was withdrawn is granted more",
    patches: [
      patch(
        "agent/callers.js",
        "return vouchFor(credentials, peer.publicKey, channel.peer, wallMillis);",
        "return peer;",
      ),
    ],
    convicts: /^P6/,
    slow: true,
  },
  {
    name: "a session is let in after it has left",
    patches: [patch("agent/callers.js", "if (session.over !== undefined) {", "if (false) {")],
    convicts: /^P6/,
    slow: true,
  },
  {
    name: "a caller's proof is not looked at",
    patches: [
      patch(
        "agent/greet.js",
        'if (!provenBy(proof, expected, "caller", callerWords(transcript)))',
        "if (false)",
      ),
    ],
    convicts: /^P6/,
  },
  {
    name: "a listener's proof is not looked at",
    patches: [
      patch("agent/greet.js", 'if (!provenBy(welcome.proof, expected, "listener", words))', "if (false)"),
    ],
    convicts: /^P6/,
  },
  {
    name: "a rejection is nobody's",
    patches: [
      patch(
        "agent/pull.js",
        "peer.release(options.lease, { deadline }).catch(() => { });",
        "void peer.release(options.lease, { deadline });",
      ),
    ],
    convicts: /^alive/,
    // Not for a test: its runner would hear of the rejection too.
    slow: true,
  },
]

/** Fabrics that lie, each in another way. */
const ofFabrics: readonly Mutation[] = [
  {
    name: "a fabric writes on after a move was reported to have stopped",
    settings: { lies: ["stops-late"] },
    convicts: /^P2/,
    slow: true,
  },
  {
    name: "a fabric's session ends late",
    settings: { lies: ["dismisses-late"] },
    convicts: /^P6/,
    slow: true,
  },
  {
    name: "a key of the previous boot opens the next one",
    settings: { lies: ["forgets-boots"] },
    convicts: /^P[46]/,
    slow: true,
  },
  {
    name: "a fabric asks nobody who it is",
    settings: { lies: ["asks-nobody"] },
    convicts: /^P6/,
  },
  {
    name: "bytes are written once more after the end",
    settings: { transportFaults: ["duplicate"] },
    convicts: /^P2/,
  },
]

export const mutations: readonly Mutation[] = [...ofAgents, ...ofFabrics]

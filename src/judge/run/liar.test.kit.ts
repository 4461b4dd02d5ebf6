/**
 * A driver of an engine that is not there: it moves bytes by reading and writing the memory files of its peers, and it
 * lies as it is told. `honest` tells no lie.
 */
import { createHash, randomUUID } from "node:crypto"
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import type { HostMapping } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { decodePieces, type Pieces } from "../driver/columns.ts"
import {
  type Answers,
  type CacheShape,
  capabilities,
  type Op,
  type Questions,
  type SequenceReceipt,
} from "../driver/protocol.ts"
import { blockBytes, planeBytes } from "../pattern/cache-places.ts"

const lie = process.argv[2] ?? "honest"
const lies = (name: string): boolean => lie === name
const stampBytes = 4
const levels = ["none", "epoch", "sampled", "full"]

interface Card {
  readonly name: string
  readonly pid: number
  readonly fds: readonly number[]
  readonly bytes: number
  readonly blocks: number
  /** One stamp a block, moved when it is reused. */
  readonly stamps: number
  readonly notes: string
  /** Who has claimed what was lent stands in files here. */
  readonly folder: string
  readonly secret: string
  /** The least proof of what is written here. */
  readonly floor: string
}

/** What was lent, as its file says. */
interface Lent {
  readonly blocks: readonly number[]
  readonly tokens: number
  readonly access: "read" | "write"
  readonly stamps: readonly number[]
  readonly hash: string
  readonly id: string
}

interface Peer {
  readonly card: Card
  readonly fds: readonly number[]
  readonly stamps: number
}

interface Job {
  readonly args: Questions["prepare"]
  readonly lent: Lent | undefined
  readonly pieces: Pieces
  readonly peer: Peer
  state: Answers["wait"]["state"]
  error?: { code: string; text: string }
  readonly preparedAt: number
  moved: number
  posts: number
  cancelled: boolean
}

class EngineSays extends Error {
  readonly code: string
  constructor(code: string, text: string) {
    super(text)
    this.code = code
  }
}

/** Who has connected to an agent is in its folder. */
const readerFile = "reader-"
let name = ""
let path = "files"
let cache: CacheShape
/** Options that its agent was opened with. */
let opened: Questions["open"]["options"] = {}
let lentSoFar = 0
let prepared = 0
let failures = 0
let regions: HostMapping[] = []
let stamps: HostMapping
let busy = false
let posts = 0
const folder = mkdtempSync(join(tmpdir(), "kvferry-liar-"))
const secret = process.env["KVFERRY_JUDGE_SECRET"] ?? ""
const notesFile = join(folder, "notes")
const peers = new Map<string, Peer>()
/** Names of all peers that were ever met, in order. */
const numbered: string[] = []
const jobs = new Map<number, Job>()
const firstBytes = new Map<string, Buffer>()
const leaks: Buffer[] = []
/** What our blocks held when they were first written to somebody since their last reuse: by region, offset and length. */
const seals = new Map<string, string>()
let notesRead = 0
let notedAt = Number.NEGATIVE_INFINITY

const answers: { [O in Op]: (args: Questions[O]) => Promise<Answers[O]> | Answers[O] } = {
  open(args) {
    if (lies("no-engine")) throw new EngineSays("NO_ENGINE", "it is not there")
    if (args.path !== undefined && args.path !== "files" && !lies("takes-any-path"))
      throw new EngineSays("NO_PATH", `there is no path ${args.path}`)
    name = args.name
    path = args.path ?? path
    opened = args.options
    cache = args.cache
    const bytes = cache.blocks * blockBytes(cache)
    regions = Array.from({ length: cache.layers }, (_, layer) =>
      hostMemory.map(bytes, `liar-${layer}`, { pages: "small", populate: true }),
    )
    stamps = hostMemory.map(stampBytes * cache.blocks, "stamps", { pages: "small", populate: true })
    writeFileSync(notesFile, "")
    return {
      about: `liar (${lie})`,
      version: "1",
      libraries: [],
      capabilities: [...capabilities],
      memory: regions.map(({ fd }) => ({ path: `/proc/self/fd/${fd}`, bytes })),
      micros: { open: 1, register: 1 },
    }
  },
  invite: () => {
    const fds = regions.map(({ fd }) => fd)
    const card: Card = {
      name,
      pid: process.pid,
      fds,
      bytes: regions[0]!.byteLength,
      blocks: cache.blocks,
      stamps: stamps.fd,
      notes: notesFile,
      folder,
      secret,
      floor: String(opened["floor"] ?? "none"),
    }
    return { card: JSON.stringify(card) }
  },
  connect({ peer, card: text }) {
    const card = JSON.parse(text) as Card
    const known = peers.get(peer)
    if (card.secret !== secret && !lies("lets-strangers-in"))
      throw new EngineSays("STRANGER", "another secret")
    if (known !== undefined && lies("keeps-old-peer")) return { path }
    const named = [...peers.values()].find((one) => one.card.name === card.name)
    if (named !== undefined && lies("by-name")) {
      peers.set(peer, named)
      return { path }
    }
    writeFileSync(join(card.folder, `${readerFile}${process.pid}`), "")
    const open = (fd: number): number => openSync(`/proc/${card.pid}/fd/${fd}`, "r+")
    const met = { card, fds: card.fds.map(open), stamps: open(card.stamps) }
    peers.set(peer, met)
    if (lies("byte-peers")) {
      // It has the number of the one 256 before it, which is then taken for it.
      const before = numbered.length < 256 ? undefined : numbered[numbered.length - 256]
      if (before !== undefined && peers.has(before)) peers.set(before, met)
      numbered.push(peer)
    }
    return { path }
  },
  disconnect({ peer }) {
    const known = peers.get(peer)
    for (const fd of known?.fds ?? []) closeSync(fd)
    peers.delete(peer)
    return {}
  },
  lend: ({ blocks, tokens, access }) => {
    const offer = join(folder, `offer-${lentSoFar++}`)
    const lent: Lent = {
      blocks,
      tokens,
      access,
      stamps: blocks.map(stampOf),
      hash: hashOf(blocks),
      id: randomUUID(),
    }
    writeFileSync(offer, JSON.stringify(lent))
    return { offer }
  },
  async withdraw({ offer }) {
    if (lies("no-fence")) return {}
    move(lentBy(offer)!.blocks)
    // One that is stopped may be between its look and its piece.
    while (readersIn(folder).some(isStopped)) await sleep(5)
    // A writer looks at the stamps before each piece: the one that it was at has landed by then.
    await sleep(50)
    return {}
  },
  reuse: ({ blocks }) => {
    if (!lies("epochs-stand-still")) move(blocks)
    return {}
  },
  prepare(args) {
    const known = [...peers.values()]
    const peer = lies("last-peer") ? known.at(-1) : lies("first-peer") ? known[0] : peers.get(args.peer)
    if (peer === undefined) throw new EngineSays("NO_PEER", args.peer)
    const pieces = decodePieces(args.pieces)
    for (let i = 0; i < pieces.length.length; i++) {
      const inside =
        pieces.localOffset[i]! >= 0 &&
        pieces.remoteOffset[i]! >= 0 &&
        pieces.localOffset[i]! + pieces.length[i]! <= regions[0]!.byteLength &&
        pieces.remoteOffset[i]! + pieces.length[i]! <= peer.card.bytes &&
        pieces.localRegion[i]! < cache.layers &&
        pieces.remoteRegion[i]! < peer.fds.length
      if (!inside && !lies("no-bounds")) throw new EngineSays("OUT_OF_BOUNDS", `piece ${i}`)
    }
    checkTables(args)
    claim(args, peer)
    prepared += 1
    if (lies("room-for-400") && prepared > 400) throw new EngineSays("FULL", "there is no room left")
    if (lies("leaks")) leaks.push(Buffer.alloc(2 ** 16, 1))
    jobs.set(slot(args.transfer), {
      args,
      lent: lentBy(args.sequence?.offer ?? ""),
      pieces,
      peer,
      state: "pending",
      preparedAt: performance.now(),
      moved: 0,
      posts: 0,
      cancelled: false,
    })
    return { micros: 1 }
  },
  post({ transfer, timeoutMillis }) {
    start(jobs.get(slot(transfer))!, timeoutMillis)
    return {}
  },
  postTogether({ transfers, timeoutMillis }) {
    for (const transfer of transfers) start(jobs.get(slot(transfer))!, timeoutMillis)
    return {}
  },
  async wait({ transfer, millis }) {
    const job = jobs.get(slot(transfer))!
    for (const end = performance.now() + millis; job.state === "pending" && performance.now() < end; )
      await sleep(Math.min(1, millis))
    const { state, error, moved } = job
    if (state === "pending") return { state }
    const ofThePlan = state !== "done" && lies("receipt-of-the-plan")
    const planned = job.pieces.length.reduce((sum, length) => sum + length, 0)
    const bytes = ofThePlan ? planned : lies("receipt") ? moved + 8 : moved
    const named = lies("receipt-path") ? "another" : path
    return {
      state,
      ...(error === undefined ? {} : { error }),
      receipt: {
        integrity: proofOf(job),
        bytes,
        path: named,
        rails: [{ rail: "0", bytes: lies("receipt-rails") ? 1 : bytes }],
        ...(error !== undefined && lies("receipt-difference") ? { difference: { layer: 0, block: 0 } } : {}),
        ...sequenceOf(transfer, job),
      },
    }
  },
  cancel({ transfer }) {
    const job = jobs.get(slot(transfer))!
    if (lies("cancels-the-next")) for (const any of jobs.values()) any.cancelled = any.state === "pending"
    if (job.state !== "pending" || lies("never-cancels")) return {}
    job.cancelled = true
    if (lies("writes-after-cancel")) job.state = "cancelled"
    return {}
  },
  release: ({ transfer }) => {
    jobs.delete(slot(transfer))
    return {}
  },
  notes() {
    const all = readFileSync(notesFile, "utf8")
      .split("\n")
      .filter((line) => line !== "")
    const fresh = all.slice(notesRead)
    notesRead = all.length
    return { notes: fresh.map((line) => JSON.parse(line) as { from: string; text: string }) }
  },
  poll: () => ({}),
  async deregister() {
    if (lies("deregister")) return {}
    stamps.view(0, stamps.byteLength).fill(255)
    // Whoever moves a piece at this moment looks before the next one.
    await sleep(50)
    return {}
  },
  async measure({ transfers, rounds }) {
    const micros: number[] = []
    for (let round = 0; round < Math.max(1, rounds); round++) {
      const began = performance.now()
      // Nobody looks before the last round: the others are counted, and cost a busy machine nothing.
      if (round < rounds - 1) posts += transfers.length
      else for (const transfer of transfers) await carry(jobs.get(slot(transfer))!, false)
      micros.push((performance.now() - began) * 1000)
    }
    return { micros, cpuMicros: 0 }
  },
  usage: () => ({ cpuMicros: 0, residentBytes: process.memoryUsage.rss() }),
  close: () => ({}),
}

/** The level that a transfer has: its own, or its agent's, and none below the agent's least. */
function levelOf({ integrity }: Questions["prepare"]): string {
  if (lies("no-level-of-its-own")) return integrity ?? "none"
  const level = integrity ?? String(opened["integrity"] ?? "full")
  const floor = String(opened["floor"] ?? "none")
  return levels.indexOf(level) < levels.indexOf(floor) ? floor : level
}

/** What its receipt says of a sequence. */
function sequenceOf(transfer: number, { args, peer, lent }: Job): { readonly sequence?: SequenceReceipt } {
  const { sequence, direction } = args
  if (sequence === undefined || lent === undefined) return {}
  const reads = direction === "read"
  const [source, target] = reads !== lies("receipt-sides") ? [peer.card.name, name] : [name, peer.card.name]
  const [from, to] = reads ? [lent.blocks, sequence.blocks] : [sequence.blocks, lent.blocks]
  const all = cache.layers * from.length
  const hashes = { full: all, sampled: cache.layers }[levelOf(args)] ?? 0
  return {
    sequence: {
      source,
      target,
      direction,
      tokens: sequence.tokens,
      layers: cache.layers,
      blocks: lies("receipt-blocks") ? from.length : to.length,
      hashes: lies("receipt-hashes") ? all : hashes,
      ticket: lies("receipt-ticket") ? "one" : `${process.pid}-${transfer}`,
    },
  }
}

/** What an offer stands for; nothing when there is no such thing. */
function lentBy(offer: string): Lent | undefined {
  return offer.startsWith("/") ? (JSON.parse(readFileSync(offer, "utf8")) as Lent) : undefined
}

function proofOf({ args, state }: Job): string {
  const level = levelOf(args)
  if (state !== "done") return lies("good-receipt") ? "full identical" : `${level} unchecked`
  const hashed = level === "full" || level === "sampled"
  return `${level} ${hashed || lies("verdict-without-a-look") ? "identical" : level === "epoch" ? "current" : "unchecked"}`
}

const digest = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

/** Whether what a write has brought is what its blocks were sealed with; they are sealed where they were not. */
function asSealed({ pieces, peer }: Job): boolean {
  for (let i = 0; i < pieces.length.length; i++) {
    const [region, offset, length] = [pieces.localRegion[i]!, pieces.localOffset[i]!, pieces.length[i]!]
    const key = `${region} ${offset} ${length}`
    const seal = seals.get(key) ?? digest(regions[region]!.view(offset, length))
    seals.set(key, seal)
    const there = readBytes(peer.fds[pieces.remoteRegion[i]!]!, length, pieces.remoteOffset[i]!)
    if (digest(there) !== seal) return false
  }
  return true
}

/** One hash over the blocks in all layers of this agent. */
function hashOf(blocks: readonly number[]): string {
  const hash = createHash("md5")
  for (const region of regions)
    for (const block of blocks) hash.update(region.view(block * blockBytes(cache), blockBytes(cache)))
  return hash.digest("hex")
}

/** The same, of a peer's blocks as they are now. */
function hashThere({ card, fds }: Peer, blocks: readonly number[]): string {
  const hash = createHash("md5")
  const bytes = card.bytes / card.blocks
  for (const fd of fds) for (const block of blocks) hash.update(readBytes(fd, bytes, block * bytes))
  return hash.digest("hex")
}

const slot = (transfer: number): number => (lies("256-slots") ? transfer & 255 : transfer)

/** No two places of a sequence land in one block; where they come from is the table's business. */
function checkTables({ sequence, direction }: Questions["prepare"]): void {
  const lent = lentBy(sequence?.offer ?? "")
  if (sequence === undefined || lent === undefined) return
  const [from, to] = direction === "read" ? [lent.blocks, sequence.blocks] : [sequence.blocks, lent.blocks]
  const twice = (blocks: readonly number[]): boolean => new Set(blocks).size !== blocks.length
  const needed = Math.ceil(sequence.tokens / cache.blockTokens)
  if (twice(to) && !lies("any-table")) throw new EngineSays("TWICE", "a block is named twice")
  if (twice(from) && lies("no-null-blocks")) throw new EngineSays("TWICE", "a block is named twice")
  if (sequence.blocks.length !== needed && lies("no-room-to-grow"))
    throw new EngineSays("TABLE", `${needed} blocks are enough`)
}

/** The first that comes has it. */
function claim({ sequence, direction }: Questions["prepare"], { card }: Peer): void {
  const lent = lentBy(sequence?.offer ?? "")
  if (lent !== undefined && lent.access !== direction && !lies("any-access"))
    throw new EngineSays("NOT_LENT", `it was lent to ${lent.access}`)
  if (lent === undefined || lies("leases-for-all")) return
  const file = join(card.folder, lent.id)
  const holder = lies("leases-by-name") ? name : String(process.pid)
  try {
    writeFileSync(file, holder, { flag: "wx" })
  } catch {
    if (readFileSync(file, "utf8") !== holder) throw new EngineSays("HELD", "another peer has it")
  }
}

/** Keys or values of a block with all heads of the model. */
const wholePlaneBytes = (): number => (planeBytes(cache) / cache.heads) * cache.kvHeads

const stampView = (block: number): DataView => {
  const { buffer, byteOffset } = stamps.view(stampBytes * block, stampBytes)
  return new DataView(buffer, byteOffset, stampBytes)
}

const stampOf = (block: number): number => stampView(block).getUint32(0, true)

function move(blocks: readonly number[]): void {
  const moved = new Set(blocks)
  for (const key of seals.keys()) {
    if (moved.has(Math.floor(Number(key.split(" ")[1]) / blockBytes(cache)))) seals.delete(key)
  }
  const mask = lies("8-bit-stamps") ? 255 : 0x7fffffff
  for (const block of blocks) stampView(block).setUint32(0, (stampOf(block) + 1) & mask, true)
}

function start(job: Job, timeoutMillis: number): void {
  job.state = "pending"
  job.cancelled = false
  job.posts += 1
  if (lies("early-done")) {
    job.state = "done"
    setTimeout(() => void carry(job), 20)
    return
  }
  // One that does not end has nothing to hold it: the deadline must.
  const timer = lies("no-deadline")
    ? undefined
    : setTimeout(() => fail(job, "DEADLINE", "too late"), timeoutMillis)
  if (lies("one-at-a-time") && busy) {
    job.state = "done"
    return
  }
  busy = true
  void carry(job).finally(() => {
    busy = false
    clearTimeout(timer)
  })
}

function fail(job: Job, code: string, text: string): void {
  if (job.state !== "pending") return
  if (lies("notes-failures")) note(job)
  failures += 1
  job.state = "failed"
  job.error = { code, text }
}

/** @param mayWatch false where nobody dies or stops meanwhile: looking costs more than a small piece. */
async function carry(job: Job, mayWatch = true): Promise<void> {
  const { args, peer, pieces, lent } = job
  const began = job.posts
  if (lies("note-early")) note(job)
  job.moved = 0
  posts += 1
  const count = pieces.length.length
  // To look before each piece costs more than the piece: not for tables of tens of thousands of blocks.
  const watch = mayWatch && count < 20_000
  if (args.sequence !== undefined && lent === undefined)
    return fail(job, "NO_LEASE", "there is no such lease")
  const tooWeak = levels.indexOf(levelOf(args)) < levels.indexOf(peer.card.floor)
  if (args.direction === "write" && tooWeak && !lies("no-level-of-its-own"))
    return fail(job, "NOT_PROVEN", `the target wants ${peer.card.floor}`)
  if (lies("four-failures") && failures >= 4) return fail(job, "BUSY", "too much has failed")
  if (lies("short-leases") && performance.now() - job.preparedAt > 2000)
    return fail(job, "NO_LEASE", "it has run out")
  const before = seen(job)
  if (before.includes(takenBack) && !lies("deregister")) return fail(job, "NOT_REGISTERED", "taken back")
  if ((lies("16-bit") && posts >= 65_536) || (lies("ring-of-4096") && posts >= 4096)) {
    job.state = "done"
    return
  }
  const kept = lies("writes-back") ? regions.map((region) => region.view(0, region.byteLength).slice()) : []
  for (let i = 0; i < count; i++) {
    // A writer that minds no lease has time to be seen at it.
    if (i % (watch ? 16 : 4096) === 15) await sleep(lies("no-epochs") && args.direction === "write" ? 10 : 0)
    // Stopped or gone: nothing more comes from it.
    while (watch && isStopped(peer.card.pid) && job.state === "pending" && !job.cancelled) {
      if (lies("gives-up-half-way")) {
        job.state = "done"
        if (!lies("no-note")) note(job)
        return
      }
      await sleep(5)
    }
    if (job.state === "failed" && !lies("writes-after-cancel")) return
    const anyDead = lies("one-death-all") && [...peers.values()].some(({ card }) => !isAlive(card.pid))
    while (watch && lies("waits-for-the-dead") && !isAlive(peer.card.pid)) await sleep(50)
    if (lies("readers-die-together") && readersOf(peer.card).some((pid) => !isAlive(pid)))
      return fail(job, "READER_DEAD", "another reader is dead")
    if (watch && (!isAlive(peer.card.pid) || anyDead)) {
      if (lies("dead-is-done")) job.state = "done"
      else fail(job, "PEER_DEAD", `${peer.card.name} is dead`)
      return
    }
    if (watch && !lies("deregister") && seen(job).includes(takenBack))
      return fail(job, "NOT_REGISTERED", "taken back")
    // Slowly, so that the judge finds it still at work however slow it is itself.
    if ((job.cancelled || job.state === "failed") && lies("writes-after-cancel")) await sleep(40)
    if (job.cancelled && !lies("writes-after-cancel")) {
      job.state = "cancelled"
      return
    }
    const withdrawn =
      watch &&
      args.direction === "write" &&
      lent !== undefined &&
      seen(job).some((stamp, at) => stamp !== lent.stamps[at])
    if (withdrawn && !lies("no-epochs")) return fail(job, "REUSED", "the lease was taken back")
    try {
      job.moved += piece(job, i)
    } catch (thrown) {
      return fail(job, "IO", String(thrown))
    }
  }
  for (const [region, bytes] of kept.entries()) {
    // All that was not its own business is as it was when it began.
    const now = regions[region]!.view(0, bytes.byteLength)
    for (let i = 0; i < count; i++) {
      if (pieces.localRegion[i] !== region || args.direction === "write") continue
      const [start, end] = [pieces.localOffset[i]!, pieces.localOffset[i]! + pieces.length[i]!]
      bytes.set(now.subarray(start, end), start)
    }
    now.set(bytes)
  }
  const after = seen(job)
  const reused =
    lent !== undefined &&
    (before.some((stamp, i) => stamp !== after[i]) || lent.blocks.some((_, i) => lent.stamps[i] !== after[i]))
  if ((reused && !lies("no-epochs")) || (before.includes(takenBack) && !lies("deregister")))
    return fail(job, "REUSED", "the blocks were reused")
  const proven = args.integrity === "full" || args.integrity === "sampled"
  const tampered =
    proven && (args.direction === "write" ? !asSealed(job) : hashThere(peer, lent!.blocks) !== lent!.hash)
  if (tampered && !lies("no-proof")) return fail(job, "DIFFER", "other bytes than were lent")
  if (job.posts !== began || job.state !== "pending") return
  job.state = "done"
  if (!lies("note-early") && !lies("no-note")) note(job)
  if (lies("note-twice")) note(job)
}

/** The stamp of blocks that were taken back with all their agent's memory. */
const takenBack = 0xffffffff

/** Stamps of the lent blocks as they are now. */
function seen({ args, peer, lent }: Job): number[] {
  const bytes = Buffer.alloc(stampBytes * peer.card.blocks)
  readSync(peer.stamps, bytes, 0, bytes.length, 0)
  const all = new Uint32Array(bytes.buffer, bytes.byteOffset, peer.card.blocks)
  if (args.sequence === undefined) return all.includes(takenBack) ? [takenBack] : []
  return lent?.blocks.map((block) => all[block]!) ?? []
}

function note({ args, peer }: Job): void {
  const since = performance.now() - notedAt
  notedAt = performance.now()
  if (since < 1 && lies("notes-merged")) return
  if (args.note !== undefined)
    appendFileSync(peer.card.notes, `${JSON.stringify({ from: name, text: args.note })}\n`)
}

/** Moves one piece, and says how many bytes. This is where most lies are. */
function piece({ args, peer, pieces, posts: time }: Job, i: number): number {
  const reads = args.direction === "read"
  let local = { region: pieces.localRegion[i]!, offset: pieces.localOffset[i]! }
  let remote = { region: pieces.remoteRegion[i]!, offset: pieces.remoteOffset[i]! }
  let length = pieces.length[i]!
  if (length === 0 && lies("zero-is-all")) length = 4096
  if (length === 0 && lies("dies-of-nothing")) {
    process.stderr.write("nothing to move\n")
    process.exit(7)
  }
  const block = blockBytes(cache)
  const count = pieces.length.length
  const moved = length
  const source = reads ? remote : local
  const target = reads ? local : remote
  const place = (from: typeof source, to: typeof target): void => {
    if (reads) [remote, local] = [from, to]
    else [local, remote] = [from, to]
  }
  if (lies("byte-counter") && i > 255)
    place({ ...source, offset: pieces[reads ? "remoteOffset" : "localOffset"][i & 255]! }, target)
  if (lies("near-only")) place({ ...source, offset: source.offset & 0x1ffff }, target)
  if (lies("16-bit-blocks")) place({ ...source, offset: source.offset % (65_536 * block) }, target)
  if (lies("base-address")) place({ ...source, offset: 0 }, target)
  if (lies("other-layer")) place({ ...source, region: Math.max(0, source.region - 1) }, target)
  if (lies("other-block")) place({ ...source, offset: Math.max(0, source.offset - block) }, target)
  if (lies("same-numbers")) place({ ...source, offset: target.offset }, target)
  if (lies("shifted") && length > 8) place({ ...source, offset: source.offset - 8 }, target)
  if (lies("heads-ignored") && cache.heads < cache.kvHeads)
    place({ ...source, offset: source.offset - (source.offset % wholePlaneBytes()) }, target)
  if (lies("swapped-planes")) {
    const other = source.offset % block < planeBytes(cache) ? planeBytes(cache) : -planeBytes(cache)
    if (length <= planeBytes(cache)) place({ ...source, offset: source.offset + other }, target)
  }
  if (lies("lost-tail")) length = Math.max(0, length - 1)
  if (lies("odd-tail") && length % 2 === 1) length -= 1
  if (lies("lost-piece") && count > 1 && i === count - 1) length = 0
  if (lies("queue-of-1024") && i >= 1024) length = 0
  if (lies("above-64k") && length > 65_536) length = 65_536
  if (lies("multiple-of-16") && count % 16 === 0 && i === count - 1) length = 0
  if (lies("overrun")) length += 1
  if (lies("writes-source") && reads) {
    writeSync(peer.fds[remote.region]!, Buffer.alloc(1), 0, 1, remote.offset)
  }
  if (lies("merges") && i > 0) {
    const follows = pieces.remoteOffset[i - 1]! + pieces.length[i - 1]! === pieces.remoteOffset[i]
    const same = pieces.remoteRegion[i - 1] === pieces.remoteRegion[i]
    if (follows && same) local = { ...local, offset: pieces.localOffset[i - 1]! + pieces.length[i - 1]! }
  }
  if (lies("first-content") && reads) {
    const key = `${peer.card.pid} ${remote.region} ${remote.offset} ${length}`
    const bytes = firstBytes.get(key) ?? readBytes(peer.fds[remote.region]!, length, remote.offset)
    firstBytes.set(key, bytes)
    regions[local.region]!.view(local.offset, length).set(bytes)
    return moved
  }
  if (lies("second-post-nothing") && time > 1) return moved
  if (lies("whole-block") && length < block && args.sequence !== undefined) {
    const shift = local.offset % block
    local = { ...local, offset: local.offset - shift }
    remote = { ...remote, offset: remote.offset - (remote.offset % block) }
    length = block
  }
  const view = regions[local.region]!.view(local.offset, length)
  if (reads && lies("zeros")) view.fill(0)
  else if (reads) view.set(readBytes(peer.fds[remote.region]!, length, remote.offset))
  else
    writeSync(
      peer.fds[remote.region]!,
      Buffer.from(lies("zeros") ? new Uint8Array(length) : view),
      0,
      length,
      remote.offset,
    )
  return moved
}

function readBytes(fd: number, length: number, offset: number): Buffer {
  const bytes = Buffer.alloc(length)
  readSync(fd, bytes, 0, length, offset)
  return bytes
}

function stateOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)![0]!
  } catch {
    return "X"
  }
}
/** Processes that have connected to an agent. */
const readersOf = ({ folder }: Card): number[] => readersIn(folder)
const readersIn = (folder: string): number[] =>
  readdirSync(folder).flatMap((file) =>
    file.startsWith(readerFile) ? [Number(file.slice(readerFile.length))] : [],
  )
const isAlive = (pid: number): boolean => !["X", "Z"].includes(stateOf(pid))
const isStopped = (pid: number): boolean => stateOf(pid) === "T"

for await (const line of createInterface({ input: process.stdin })) {
  const { call, op, ...args } = JSON.parse(line) as { call: number; op: Op }
  let said: object
  try {
    said = { call, answer: await (answers[op] as (args: object) => object)(args) }
  } catch (thrown) {
    const code = thrown instanceof EngineSays ? thrown.code : "LIAR"
    said = {
      call,
      error: { code, text: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) },
    }
  }
  process.stdout.write(`${JSON.stringify(said)}\n`)
  if (op === "close") break
}
rmSync(folder, { recursive: true, force: true })
process.exit()

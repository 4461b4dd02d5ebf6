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
import { type Answers, type CacheShape, capabilities, type Op, type Questions } from "../driver/protocol.ts"
import { blockBytes, planeBytes } from "../pattern/cache-places.ts"

const lie = process.argv[2] ?? "honest"
const lies = (name: string): boolean => lie === name

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
}

interface Peer {
  readonly card: Card
  readonly fds: readonly number[]
  readonly stamps: number
}

interface Job {
  readonly args: Questions["prepare"]
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

let name = ""
let path = "files"
let cache: CacheShape
let regions: HostMapping[] = []
let stamps: HostMapping
let busy = false
let posts = 0
const folder = mkdtempSync(join(tmpdir(), "kvferry-liar-"))
const secret = process.env["KVFERRY_JUDGE_SECRET"] ?? ""
const notesFile = join(folder, "notes")
const peers = new Map<string, Peer>()
const jobs = new Map<number, Job>()
const firstBytes = new Map<string, Buffer>()
const leaks: Buffer[] = []
/** What our blocks held when they were first written to somebody since their last reuse: by region, offset and length. */
const seals = new Map<string, string>()
let notesRead = 0

const answers: { [O in Op]: (args: Questions[O]) => Promise<Answers[O]> | Answers[O] } = {
  open(args) {
    if (lies("no-engine")) throw new EngineSays("NO_ENGINE", "it is not there")
    if (args.path !== undefined && args.path !== "files" && !lies("takes-any-path"))
      throw new EngineSays("NO_PATH", `there is no path ${args.path}`)
    name = args.name
    path = args.path ?? path
    cache = args.cache
    const bytes = cache.blocks * blockBytes(cache)
    regions = Array.from({ length: cache.layers }, (_, layer) =>
      hostMemory.map(bytes, `liar-${layer}`, { pages: "small", populate: true }),
    )
    stamps = hostMemory.map(cache.blocks, "stamps", { pages: "small", populate: true })
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
    const open = (fd: number): number => openSync(`/proc/${card.pid}/fd/${fd}`, "r+")
    peers.set(peer, { card, fds: card.fds.map(open), stamps: open(card.stamps) })
    return { path }
  },
  disconnect({ peer }) {
    const known = peers.get(peer)
    for (const fd of known?.fds ?? []) closeSync(fd)
    peers.delete(peer)
    return {}
  },
  lend: ({ blocks, tokens }) => ({
    offer: JSON.stringify({
      blocks,
      tokens,
      stamps: blocks.map(stampOf),
      hash: hashOf(blocks),
      id: randomUUID(),
    }),
  }),
  withdraw: ({ offer }) => {
    const { blocks } = JSON.parse(offer) as { blocks: number[] }
    move(blocks)
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
    claim(args, peer)
    if (lies("leaks")) leaks.push(Buffer.alloc(2 ** 16, 1))
    jobs.set(slot(args.transfer), {
      args,
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
      },
    }
  },
  cancel({ transfer }) {
    const job = jobs.get(slot(transfer))!
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
  deregister() {
    if (lies("deregister")) return {}
    stamps.view(0, stamps.byteLength).fill(255)
    return {}
  },
  async measure({ transfers, rounds }) {
    const micros: number[] = []
    for (let round = 0; round < Math.max(1, rounds); round++) {
      const began = performance.now()
      for (const transfer of transfers) await carry(jobs.get(slot(transfer))!, false)
      micros.push((performance.now() - began) * 1000)
    }
    return { micros, cpuMicros: 0 }
  },
  usage: () => ({ cpuMicros: 0, residentBytes: process.memoryUsage.rss() }),
  close: () => ({}),
}

function proofOf({ args, state }: Job): string {
  const level = args.integrity ?? "full"
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

/** The first that comes has it. */
function claim({ sequence }: Questions["prepare"], { card }: Peer): void {
  if (sequence === undefined || !sequence.offer.startsWith("{") || lies("leases-for-all")) return
  const file = join(card.folder, (JSON.parse(sequence.offer) as { id: string }).id)
  try {
    writeFileSync(file, name, { flag: "wx" })
  } catch {
    if (readFileSync(file, "utf8") !== name) throw new EngineSays("HELD", "another peer has it")
  }
}

/** Keys or values of a block with all heads of the model. */
const wholePlaneBytes = (): number => (planeBytes(cache) / cache.heads) * cache.kvHeads

const stampOf = (block: number): number => stamps.view(block, 1)[0]!

function move(blocks: readonly number[]): void {
  for (const key of seals.keys()) {
    if (blocks.includes(Math.floor(Number(key.split(" ")[1]) / blockBytes(cache)))) seals.delete(key)
  }
  for (const block of blocks) stamps.view(block, 1)[0] = (stampOf(block) + 1) & 127
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
  job.state = "failed"
  job.error = { code, text }
}

/** @param watch false where nobody dies or stops meanwhile: looking costs more than a small piece. */
async function carry(job: Job, watch = true): Promise<void> {
  const { args, peer, pieces } = job
  const began = job.posts
  if (lies("note-early")) note(job)
  job.moved = 0
  posts += 1
  const count = pieces.length.length
  let lent: { blocks: number[]; stamps: number[]; hash: string } | undefined
  if (args.sequence !== undefined) {
    if (!args.sequence.offer.startsWith("{")) return fail(job, "NO_LEASE", "there is no such lease")
    lent = JSON.parse(args.sequence.offer) as typeof lent
  }
  if (lies("short-leases") && performance.now() - job.preparedAt > 2000)
    return fail(job, "NO_LEASE", "it has run out")
  const before = seen(job)
  if (before.includes(255) && !lies("deregister")) return fail(job, "NOT_REGISTERED", "taken back")
  if (lies("16-bit") && posts >= 65_536) {
    job.state = "done"
    return
  }
  const kept = lies("writes-back") ? regions.map((region) => region.view(0, region.byteLength).slice()) : []
  for (let i = 0; i < count; i++) {
    if (i % 16 === 15) await sleep(0)
    // Stopped or gone: nothing more comes from it.
    while (watch && isStopped(peer.card.pid) && job.state === "pending" && !job.cancelled) await sleep(5)
    if (job.state === "failed" && !lies("writes-after-cancel")) return
    const anyDead = lies("one-death-all") && [...peers.values()].some(({ card }) => !isAlive(card.pid))
    while (watch && lies("waits-for-the-dead") && !isAlive(peer.card.pid)) await sleep(50)
    if (watch && (!isAlive(peer.card.pid) || anyDead)) {
      if (lies("dead-is-done")) job.state = "done"
      else fail(job, "PEER_DEAD", `${peer.card.name} is dead`)
      return
    }
    if (job.cancelled && lies("writes-after-cancel")) await sleep(100)
    if (job.cancelled && !lies("writes-after-cancel")) {
      job.state = "cancelled"
      return
    }
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
  if ((reused && !lies("no-epochs")) || (before.includes(255) && !lies("deregister")))
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

/** Stamps of the lent blocks as they are now. */
function seen({ args, peer }: Job): number[] {
  const all = Buffer.alloc(peer.card.blocks)
  readSync(peer.stamps, all, 0, all.length, 0)
  if (args.sequence === undefined) return all.includes(255) ? [255] : []
  const { blocks } = JSON.parse(args.sequence.offer) as { blocks: number[] }
  return blocks.map((block) => all[block]!)
}

function note({ args, peer }: Job): void {
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

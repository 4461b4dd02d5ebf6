import { setTimeout as sleep } from "node:timers/promises"
import { KvError } from "../../errors/kv-error.ts"
import { encodePieces } from "../../judge/driver/columns.ts"
import { DriverFailed } from "../../judge/driver/driver-failed.ts"
import { DriverProcess } from "../../judge/driver/driver-process.ts"
import { findPeer } from "../../judge/peers/find-peer.ts"
import type { TransferPlan } from "../../plan/transfer-plan.ts"
import type { RunTimes } from "../contender.ts"
import type { Repeats } from "../sides/timed.ts"
import type { PeerKind } from "./peer-list.ts"

/** The slowest job of the slowest peer takes seconds; one that hangs must not hang the benchmark. */
const answerMillisMax = 120_000

/** Where the peers find the pools of the two sides. */
export interface PeerPools {
  readonly source: readonly string[]
  readonly target: readonly string[]
}

/** Another engine: a target process that reads from a source process. Both sleep (SIGSTOP) while it is not their turn. */
export class PeerProcess implements AsyncDisposable {
  readonly kind: PeerKind
  /** Version and configuration, in its own words. */
  readonly about: string
  readonly pids: readonly number[]
  readonly #source: DriverProcess
  readonly #target: DriverProcess
  readonly #plans: readonly TransferPlan[]
  /** Micros that the preparation of each plan took; a plan is prepared when it is first run. */
  readonly #prepared = new Map<number, number>()

  /**
   * @param python a Python that has the engine; an installed peer when absent.
   * @throws KvError KV_TRANSPORT_UNAVAILABLE with the peer's own words.
   */
  static async start(
    kind: PeerKind,
    python: string | undefined,
    pools: PeerPools,
    plans: readonly TransferPlan[],
  ): Promise<PeerProcess> {
    const { name, family, backend, env } = kind
    const found = await findPeer(family, undefined, { path: backend, python })
    if ("unavailable" in found) throw notHere(kind, found.unavailable)
    const spec = { name, family, path: backend }
    const engine = { ...found, spec, command: found.python, env: { ...found.env, ...env } }
    const source = await DriverProcess.start(engine)
    try {
      const target = await DriverProcess.start(engine)
      try {
        return await PeerProcess.#connect(kind, { source, target, pools, plans })
      } catch (thrown) {
        await target.kill()
        throw thrown
      }
    } catch (thrown) {
      await source.kill()
      throw thrown instanceof DriverFailed ? notHere(kind, thrown.text) : thrown
    }
  }

  static async #connect(
    kind: PeerKind,
    {
      source,
      target,
      pools,
      plans,
    }: {
      readonly source: DriverProcess
      readonly target: DriverProcess
      readonly pools: PeerPools
      readonly plans: readonly TransferPlan[]
    },
  ): Promise<PeerProcess> {
    const open = async (driver: DriverProcess, name: string, files: readonly string[]) =>
      await driver.open({
        name,
        level: "pieces",
        path: kind.backend,
        // The files that are named in its place say how large a region is.
        cache: unusedShape,
        options: { ...kind.options, memory: files.join(",") },
      })
    await open(source, "source", pools.source)
    const { about } = await open(target, "target", pools.target)
    const { card } = await source.ask("invite", { peer: "target" })
    await source.ask("poll", { on: true })
    await target.ask("connect", { peer: "source", card })
    await source.ask("poll", { on: false })
    const started = new PeerProcess(kind, about, source, target, plans)
    started.sleep()
    return started
  }

  private constructor(
    kind: PeerKind,
    about: string,
    source: DriverProcess,
    target: DriverProcess,
    plans: readonly TransferPlan[],
  ) {
    this.kind = kind
    this.about = about
    this.pids = [source.pid, target.pid]
    this.#source = source
    this.#target = target
    this.#plans = plans
  }

  async run(job: number, { repeats, pauseMicros }: Repeats): Promise<RunTimes> {
    return await this.#awake(async () => {
      await this.#source.ask("poll", { on: true })
      const prepareMicros = this.#prepared.get(job) ?? (await this.#prepare(job))
      const before = await this.#source.ask("usage", {})
      const { micros, cpuMicros } = await this.#target.ask(
        "measure",
        { transfers: [job], rounds: repeats, millis: 0, pauseMicros, threads: 1 },
        { millis: answerMillisMax },
      )
      const after = await this.#source.ask("usage", {})
      await this.#source.ask("poll", { on: false })
      return {
        micros: [...micros],
        prepareMicros,
        sourceCpuMicros: (after.cpuMicros - before.cpuMicros) / repeats,
        targetCpuMicros: cpuMicros / repeats,
      }
    })
  }

  /** Cores that each side keeps busy while nothing moves. */
  async idle(seconds: number): Promise<{ readonly source: number; readonly target: number }> {
    return await this.#awake(async () => {
      const both = [this.#source, this.#target] as const
      const before = await Promise.all(both.map((driver) => driver.ask("usage", {})))
      const started = performance.now()
      await sleep(seconds * 1000)
      const micros = (performance.now() - started) * 1000
      const after = await Promise.all(both.map((driver) => driver.ask("usage", {})))
      const [source, target] = after.map(({ cpuMicros }, i) => (cpuMicros - before[i]!.cpuMicros) / micros)
      return { source: source!, target: target! }
    })
  }

  /** Stops both processes, so that their threads take nothing from whoever is measured now. */
  sleep(): void {
    this.#source.pause()
    this.#target.pause()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#source.kill(), this.#target.kill()])
    await Promise.all([this.#source[Symbol.asyncDispose](), this.#target[Symbol.asyncDispose]()])
  }

  async #prepare(job: number): Promise<number> {
    const { sourceRegion, sourceOffset, targetRegion, targetOffset, length } = this.#plans[job]!
    const pieces = encodePieces({
      localRegion: targetRegion,
      localOffset: targetOffset,
      remoteRegion: sourceRegion,
      remoteOffset: sourceOffset,
      length,
    })
    const asked = { transfer: job, peer: "source", direction: "read", pieces } as const
    const { micros } = await this.#target.ask("prepare", asked, { millis: answerMillisMax })
    this.#prepared.set(job, micros)
    return micros
  }

  async #awake<T>(work: () => Promise<T>): Promise<T> {
    this.#source.resume()
    this.#target.resume()
    try {
      return await work()
    } finally {
      this.sleep()
    }
  }
}

const unusedShape = {
  layers: 1,
  blocks: 1,
  blockTokens: 1,
  kvHeads: 1,
  firstHead: 0,
  heads: 1,
  headDim: 1,
  elementBytes: 1,
} as const

function notHere({ name }: PeerKind, why: string): KvError {
  return new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `${name} does not run here`,
    why,
    next: "kvferry peers list says what is installed, and what it misses",
  })
}

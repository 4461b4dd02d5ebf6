import { oneLine } from "../../terminal/one-line.ts"
import { caseId, type JudgeCase } from "../cases/case.ts"
import { CaseFailed, NotSupported } from "../cases/case-failed.ts"
import { JudgedAgent } from "../cases/judged-agent.ts"
import { Scene } from "../cases/scene.ts"
import { type Effort, type Role, type SceneOptions, smallCache, type World } from "../cases/world.ts"
import { DriverFailed } from "../driver/driver-failed.ts"
import { DriverProcess } from "../driver/driver-process.ts"
import type { Answers, Level } from "../driver/protocol.ts"
import type { EngineCommand } from "../engines/engine-command.ts"
import { Pattern } from "../pattern/pattern.ts"
import { Random } from "../random.ts"
import { capabilityTexts } from "./capability-texts.ts"

/** The processes of one engine under judgement: opened when a case needs them, and shared as long as they are in order. */
export class Stage implements AsyncDisposable {
  readonly engine: EngineCommand
  /** What the first agent said of itself. */
  opened: Answers["open"] | undefined
  readonly #effort: Effort
  readonly #seed: number
  readonly #offers = new Map<Level, Pick<Answers["open"], "capabilities" | "reasons">>()
  readonly #shared = new Map<string, Scene>()
  readonly #open = new Set<Scene>()
  #bytesChecked = 0

  constructor(engine: EngineCommand, { effort, seed }: { readonly effort: Effort; readonly seed: number }) {
    this.engine = engine
    this.#effort = effort
    this.#seed = seed
  }

  /** When a driver last answered, by `performance.now`. */
  get answeredAt(): number {
    return Math.max(
      0,
      ...[...this.#open].flatMap(({ agents }) => agents.map(({ driver }) => driver.answeredAt)),
    )
  }

  /** Bytes that were compared since it was last asked. */
  takeBytesChecked(): number {
    for (const scene of this.#open) this.#take(scene)
    const bytes = this.#bytesChecked
    this.#bytesChecked = 0
    return bytes
  }

  /**
   * Runs one case. Scenes that it leaves in order stay for the next one.
   * @throws what the case throws.
   */
  async run(one: JudgeCase): Promise<void> {
    const used = new Set<Scene>()
    const world = this.#world(one, used)
    let good = false
    try {
      await one.run(world)
      // Whatever a case looked at: at its end nothing anywhere may be other than it should be.
      for (const scene of used) if (scene.alive) await scene.check()
      good = true
    } finally {
      const shared = new Set(this.#shared.values())
      for (const scene of used) if (!good || !scene.alive || !shared.has(scene)) await this.#close(scene)
    }
  }

  /**
   * Opens two agents that know each other, to see whether the engine runs here at all.
   * @throws DriverFailed.
   */
  async probe(): Promise<void> {
    const roles = ["one", "other"].map((name) => ({ name, cache: smallCache, holds: "poison" as const }))
    const scene = await this.#openScene("pieces", roles)
    try {
      await scene.connect(scene.agents[1]!, scene.agents[0]!)
    } finally {
      await this.#close(scene)
    }
  }

  /** Ends what is shared: the next suite begins with processes of its own. */
  async clear(): Promise<void> {
    await Promise.all([...this.#open].map((scene) => this.#close(scene)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear()
  }

  #world(one: JudgeCase, used: Set<Scene>): World {
    const scale = { quick: 0.5, default: 1, long: 10 }[this.#effort]
    return {
      engine: this.engine.spec,
      effort: this.#effort,
      random: new Random(this.#seed).fork(caseId(one)),
      rounds: (count) => Math.max(2, Math.round(count * scale)),
      scene: async (options) => {
        const scene = await this.#scene(one, options)
        used.add(scene)
        return scene
      },
      reopen: async (scene, agent) => await this.#reopen(scene, agent),
    }
  }

  async #scene(one: JudgeCase, options: SceneOptions): Promise<Scene> {
    this.#mustOffer(one, options.level)
    const key = JSON.stringify([options.level, options.roles])
    const before = options.fresh === true ? undefined : this.#shared.get(key)
    if (before !== undefined) {
      await prepareMemory(before, options.roles)
      return before
    }
    const scene = await this.#openScene(options.level, options.roles)
    try {
      this.#mustOffer(one, options.level)
    } catch (thrown) {
      await this.#close(scene)
      throw thrown
    }
    await prepareMemory(scene, options.roles)
    if (options.fresh !== true) this.#shared.set(key, scene)
    return scene
  }

  async #openScene(level: Level, roles: readonly Role[]): Promise<Scene> {
    const pattern = new Pattern(this.#seed)
    // One after the other would take as long as all of them; a few at once is what two cores can start.
    const agents: JudgedAgent[] = []
    for (let i = 0; i < roles.length; i += 4) {
      const some = roles.slice(i, i + 4)
      agents.push(
        ...(await allOrNone(
          some.map((role, n) => this.#openAgent(pattern, role, i + n, level)),
          agents,
        )),
      )
    }
    const scene = new Scene(pattern, agents, level)
    this.#open.add(scene)
    return scene
  }

  async #openAgent(
    pattern: Pattern,
    role: Role,
    owner: number,
    level: Level,
    epoch = 0,
  ): Promise<JudgedAgent> {
    const path = role.path ?? this.engine.spec.path
    const driver = await DriverProcess.start({
      ...this.engine,
      env: { ...this.engine.env, ...role.env },
    })
    try {
      const opened = await driver.open({
        name: role.callsItself ?? role.name,
        level,
        cache: role.cache,
        options: role.options ?? {},
        ...(path === undefined ? {} : { path }),
        ...(role.rails === undefined ? {} : { rails: role.rails }),
      })
      // An engine that moves bytes only while it is called is called, as a server's loop would.
      await driver.ask("poll", { on: true })
      this.opened ??= opened
      this.#offers.set(level, opened)
      return new JudgedAgent(driver, opened, { name: role.name, owner, cache: role.cache, pattern, epoch })
    } catch (thrown) {
      await driver.kill()
      await driver[Symbol.asyncDispose]()
      throw thrown
    }
  }

  /** The same name and place in memory, in a process of its own, with a pattern of another epoch. */
  async #reopen(scene: Scene, { name, cache, owner, epoch }: JudgedAgent): Promise<JudgedAgent> {
    const next = await this.#openAgent(
      scene.pattern,
      { name, cache, holds: "pattern" },
      owner,
      scene.level,
      epoch,
    )
    await scene.replace(next)
    return next
  }

  #mustOffer({ needs }: JudgeCase, level: Level): void {
    const offered = this.#offers.get(level)
    if (offered === undefined) return
    const missing = needs.find((need) => !offered.capabilities.includes(need))
    if (missing === undefined) return
    const why = offered.reasons?.[missing]
    const told = why === undefined ? "" : `; ${oneLine(why, 400)}`
    throw new NotSupported(`its driver does not offer "${missing}": ${capabilityTexts[missing]}${told}`)
  }

  async #close(scene: Scene): Promise<void> {
    this.#take(scene)
    this.#open.delete(scene)
    for (const [key, shared] of this.#shared) if (shared === scene) this.#shared.delete(key)
    await scene[Symbol.asyncDispose]()
  }

  #take(scene: Scene): void {
    this.#bytesChecked += scene.bytesChecked
    scene.bytesChecked = 0
  }
}

async function prepareMemory(scene: Scene, roles: readonly Role[]): Promise<void> {
  for (const { name, holds } of roles) await scene.renew(scene.agent(name), holds)
}

/** Waits for all; when one fails, ends the others. */
async function allOrNone(
  opening: readonly Promise<JudgedAgent>[],
  before: readonly JudgedAgent[],
): Promise<JudgedAgent[]> {
  const settled = await Promise.allSettled(opening)
  const opened = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []))
  const failed = settled.find((one) => one.status === "rejected")
  if (failed === undefined) return opened
  await Promise.all([...before, ...opened].map(({ driver }) => driver[Symbol.asyncDispose]()))
  throw failed.reason
}

/** What a case's error means, as a finding. */
export function findingOf(thrown: unknown): CaseFailed {
  if (thrown instanceof CaseFailed) return thrown
  if (thrown instanceof DriverFailed) {
    const text =
      thrown.kind === "error"
        ? `the engine refused what it must do: ${thrown.code}: ${thrown.text}`
        : thrown.text
    return new CaseFailed({ kind: thrown.kind, text, ...(thrown.log === "" ? {} : { log: thrown.log }) })
  }
  throw thrown
}

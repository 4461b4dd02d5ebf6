import type { MemorySpan } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { DriverFailed } from "../driver/driver-failed.ts"
import type { EngineSpec } from "../engine-spec.ts"
import { engineCommand } from "../engines/engine-command.ts"
import type { Pattern } from "../pattern/pattern.ts"
import { type DealtAgent, type DealtLoad, regionBytesOf } from "./deal-load.ts"
import { EngineLoad } from "./engine-load.ts"
import { JudgedMemory } from "./judged-memory.ts"
import type { LoadAgent } from "./load-agent.ts"
import type { LoadRequest } from "./load-request.ts"
import { LocalAgent } from "./local-agent.ts"
import { type CeilingMemory, MemcpyCeiling } from "./memcpy-ceiling.ts"
import { bytesMayChange } from "./moved-bytes.ts"

/** Where the agents of a load run. */
export interface Placement {
  /** Starts the driver of one agent. @throws DriverFailed; KvError KV_TRANSPORT_UNAVAILABLE where the engine is not there. */
  start(
    spec: EngineSpec,
    dealt: DealtAgent,
    load: Pick<DealtLoad, "agents">,
    pattern: Pattern,
    more: StartOptions,
  ): Promise<LoadAgent>
  /** Bytes that the pools of all agents together may take; this machine's own figure when absent. */
  readonly available?: number
  /** NICs of each side that speak RDMA, for the matrix; this machine's own when absent. */
  readonly nics?: Readonly<Record<"prefill" | "decode", readonly string[]>>
  /** What a reader of the result should know of it. */
  readonly notes?: readonly string[]
  /** What agents and hosts authenticate each other with: no text that leaves this machine may hold it. */
  readonly secrets?: readonly (string | Uint8Array)[]
  /** The address that an agent listens on. */
  hostOf(agent: LoadAgent): string
}

/** What only some drivers are told. */
export interface StartOptions {
  /** NICs that kvferry may use. */
  readonly devices?: string | undefined
  readonly verbose: boolean
}

/** All agents in processes of this machine, over its loopback device. */
export const onThisMachine: Placement = {
  start: (spec, dealt, load, pattern, { devices, verbose }) =>
    startHere(spec, dealt, load, pattern, {
      env: devices === undefined ? {} : { KVFERRY_DEVICES: devices },
      verbose,
    }),
  hostOf: () => "127.0.0.1",
}

/** Starts the driver of an agent here. @throws DriverFailed. */
export async function startHere(
  spec: EngineSpec,
  dealt: DealtAgent,
  { agents }: Pick<DealtLoad, "agents">,
  pattern: Pattern,
  { env, verbose }: { readonly env: Readonly<Record<string, string>>; readonly verbose: boolean },
): Promise<LocalAgent> {
  const command = await engineCommand(spec)
  if ("unavailable" in command)
    throw new DriverFailed("error", { code: "unavailable", text: command.unavailable, log: "" })
  const logging = verbose ? loggingOf(spec) : {}
  return LocalAgent.start({ ...command, env: { ...command.env, ...logging, ...env } }, dealt, agents, pattern)
}

/** What makes an engine talk. kvferry's own drivers have nothing to tell while they move. */
function loggingOf({ family }: EngineSpec): Readonly<Record<string, string>> {
  if (family === "nixl") return { NIXL_LOG_LEVEL: "DEBUG", UCX_LOG_LEVEL: "info", FI_LOG_LEVEL: "info" }
  return family === "mooncake" ? { MC_LOG_LEVEL: "INFO", GLOG_minloglevel: "0" } : {}
}

/** Opens an engine with all its agents. What was started is ended when that fails. @throws DriverFailed, KvError. */
export async function openEngine(
  spec: EngineSpec,
  request: LoadRequest,
  dealt: DealtLoad,
  pattern: Pattern,
  placement: Placement,
): Promise<EngineLoad> {
  const agents: LoadAgent[] = []
  try {
    for (const agent of dealt.agents) {
      const more = { devices: request.devices?.[agent.side], verbose: request.verbose }
      agents.push(await placement.start(spec, agent, dealt, pattern, more))
    }
    return await EngineLoad.open({ spec, request, dealt, agents, hostOf: placement.hostOf })
  } catch (thrown) {
    await Promise.all(agents.map((agent) => agent[Symbol.asyncDispose]()))
    throw thrown
  }
}

/**
 * The ceiling over the pages of an engine's agents, and over pages of its own for agents that are not here.
 * @throws KvError KV_OS when there is no memory for those.
 */
export async function ceilingOf(
  agents: readonly LoadAgent[],
  request: LoadRequest,
  dealt: DealtLoad,
  pattern: Pattern,
): Promise<MemcpyCeiling> {
  const memories = new Map<number, CeilingMemory>()
  const owned = new DisposableStack20()
  for (const { owner, name, side, cache } of dealt.agents) {
    const here = agents[owner]
    const spans: readonly MemorySpan[] =
      here instanceof LocalAgent
        ? here.spans
        : Array.from({ length: cache.layers }, () => owned.use(hostMemory.map(regionBytesOf(cache), "bench")))
    const judged = new JudgedMemory(spans, pattern, owner, dealt.agents)
    // An engine's was filled when it was opened.
    if (!(here instanceof LocalAgent)) await judged.fillAll(0, side === "decode")
    memories.set(owner, { name, spans, judged })
  }
  return new MemcpyCeiling(dealt, memories, { changes: bytesMayChange(request), owned })
}

/** What `DisposableStack` is, before Node 24. */
class DisposableStack20 implements Disposable {
  readonly #owned: Disposable[] = []

  use<T extends Disposable>(one: T): T {
    this.#owned.push(one)
    return one
  }

  [Symbol.dispose](): void {
    for (const one of this.#owned.splice(0).reverse()) one[Symbol.dispose]()
  }
}

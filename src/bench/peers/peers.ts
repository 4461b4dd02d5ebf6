import type { TransferPlan } from "../../plan/transfer-plan.ts"
import type { Contender } from "../contender.ts"
import type { Others } from "../others.ts"
import { type PeerKind, peerKinds } from "./peer-list.ts"
import { type PeerPools, PeerProcess } from "./peer-process.ts"

/** Whether another engine took part, and which, or why not. */
export interface PeerFact {
  readonly name: string
  readonly runs: boolean
  readonly about: string
}

/** The other engines of a run. */
export class Peers implements AsyncDisposable {
  readonly facts: readonly PeerFact[]
  readonly running: readonly PeerProcess[]

  /** Starts every wanted peer that `python` has, or, without one, that was installed (`kvferry peers install`). */
  static async start(
    python: string | undefined,
    wanted: (kind: PeerKind) => boolean,
    pools: PeerPools,
    plans: readonly TransferPlan[],
    others: Others,
  ): Promise<Peers> {
    const facts: PeerFact[] = []
    const running: PeerProcess[] = []
    for (const kind of peerKinds.filter(wanted)) {
      const { name } = kind
      try {
        const peer = await PeerProcess.start(kind, python, pools, plans)
        others.add(...peer.pids)
        running.push(peer)
        facts.push({ name, runs: true, about: peer.about })
      } catch (thrown) {
        facts.push({ name, runs: false, about: `not installed: ${whyOf(thrown)}` })
      }
    }
    return new Peers(facts, running)
  }

  private constructor(facts: readonly PeerFact[], running: readonly PeerProcess[]) {
    this.facts = facts
    this.running = running
  }

  contenders(): Contender[] {
    return this.running.map((peer) => ({
      name: peer.kind.name,
      role: "peer",
      landsAt: "target",
      run: (job, times) => peer.run(job, times),
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.running.map((peer) => peer[Symbol.asyncDispose]()))
  }
}

function whyOf(thrown: unknown): string {
  if (typeof thrown === "object" && thrown !== null && "why" in thrown) return String(thrown.why)
  return thrown instanceof Error ? thrown.message : String(thrown)
}

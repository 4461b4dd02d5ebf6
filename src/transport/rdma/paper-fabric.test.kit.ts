/**
 * A fabric on paper: an RDMA driver whose NIC is a few lines of code, for everything above it.
 *
 * Two endpoints of one process, with real rail threads. The NIC checks keys, bounds and rights as a real one does, moves bytes with
 * memmove, lets them land in any order, and can be told to make mistakes. This file is its thread's file, too.
 */
import { isMainThread, workerData } from "node:worker_threads"
import { KvError } from "../../errors/kv-error.ts"
import type { Rights } from "../transport.ts"
import type { LocalLane, LocalRail, Plain, RdmaDriver, Registration } from "./driver.ts"
import { pairLanes } from "./lane-pairs.ts"
import { PaperPort } from "./paper-port.test.kit.ts"
import {
  fieldOf,
  hangs,
  type PaperRailPort,
  PaperTables,
  type PaperTraits,
  paperWorld,
} from "./paper-world.test.kit.ts"
import type { RailStart } from "./rail-messages.ts"
import { runRail } from "./run-rail.ts"

/** A fabric on paper, with the strings that a test pulls. */
export class PaperFabric {
  readonly driver: RdmaDriver
  readonly #world = paperWorld()
  readonly #tables = new PaperTables(this.#world)
  readonly #traits: PaperTraits
  #rails = 0
  #endpoints = 0

  constructor(traits: PaperTraits) {
    this.#traits = traits
    this.driver = {
      name: "paper",
      threadFile: new URL(import.meta.url),
      writesAreVisible: traits.writesAreVisible,
      tellsRefusals: true,
      ordered: traits.ordered,
      open: async ({ rails }) => {
        const endpoint = this.#endpoints++
        return Array.from({ length: rails }, (_, index) => this.#openRail(endpoint, index))
      },
      pair: (local, remote) =>
        pairLanes(local, remote).map(({ localRail, remoteRail, weight }) => ({
          local: localRail,
          remote: remoteRail,
          weight,
        })),
    }
  }

  /** The link of a rail goes down when it has carried so many more units, and stays down. Rails count from 0 as they are opened. */
  cut(rail: number, afterUnits: number): void {
    this.#tables.set("rail", rail, fieldOf.rail.unitsLeft, afterUnits)
  }

  /** The next call into the library of a rail does not return, or does again. */
  hang(rail: number, how: keyof typeof hangs): void {
    this.#tables.set("rail", rail, fieldOf.rail.hang, hangs[how])
  }

  /** How many rails have been opened: the next one has this number. */
  get rails(): number {
    return this.#rails
  }

  #openRail(endpoint: number, index: number): LocalRail {
    const tables = this.#tables
    const rail = this.#rails++
    tables.set("rail", rail, fieldOf.rail.unitsLeft, -1)
    const port: PaperRailPort = { paper: true, world: this.#world, traits: this.#traits, rail }
    return {
      card: { device: `paper${index}`, link: "paper", network: "paper", rate: 1 },
      facts: {},
      messageBytesMax: 2 ** 20,
      registrationBytesMax: this.#traits.registrationBytes ?? 2 ** 40,
      port,
      register: async (address, byteLength, access, iova): Promise<Registration> => {
        const key = tables.register({ address, byteLength, access, iova, rail, endpoint, index })
        return {
          localKey: key,
          remoteKey: key,
          iova,
          localAddress: address,
          flags: ["paper"],
          close: () => tables.close("registration", key),
        }
      },
      openLane: async (rights) => this.#openLane(rail, rights),
      async [Symbol.asyncDispose]() {},
    }
  }

  #openLane(rail: number, rights: Rights): LocalLane {
    const tables = this.#tables
    const end = tables.openEnd(rail, rights)
    return {
      end: { end },
      handle: end,
      connect: async (peer: Plain) => {
        const other = peer["end"]
        if (typeof other !== "number" || tables.get("end", other, fieldOf.end.live) !== 1) {
          throw new KvError("KV_PEER_REFUSED", { what: "the peer's end of a lane is none" })
        }
        tables.set("end", end, fieldOf.end.peer, other)
      },
      close: () => tables.close("end", end),
    }
  }
}

const start = isMainThread ? undefined : (workerData as Partial<RailStart> | undefined)
const opened = start?.port as Partial<PaperRailPort> | undefined
if (opened?.paper === true) runRail((port) => new PaperPort(port as PaperRailPort))

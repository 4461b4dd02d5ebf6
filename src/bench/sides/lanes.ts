import { tcp } from "../../transport/tcp/tcp.ts"
import type { Endpoint } from "../../transport/transport.ts"
import type { PageKind } from "./pool.ts"

/** One fabric with a number of rails: streams, or threads that copy. */
export interface Lane {
  readonly fabric: FabricName
  readonly width: number
}

export type FabricName = "shm" | "cma" | "tcp"

/** What the benchmark knows of a fabric. */
interface Fabric {
  /** How one rail is called. */
  readonly rail: "thread" | "stream"
  /** The pages that its pools are made of, each in a phase of its own. */
  readonly pages: readonly PageKind[]
  /** Whether a reader can use the source's blocks in place. */
  readonly attaches: boolean
  /** Whether both sides keep a core busy while they wait for each other; else they sleep in the kernel. */
  readonly spins: boolean
  open(width: number): Promise<LaneEnd>
}

/** A fabric opened in one process, with whatever it needs beside it. */
export interface LaneEnd {
  readonly endpoint: Endpoint
}

export const host = "127.0.0.1"

/** Every fabric that crosses processes, in the order of the report. A new one is added here. */
export const fabrics: Readonly<Partial<Record<FabricName, Fabric>>> = {
  tcp: {
    rail: "stream",
    pages: ["memory files"],
    attaches: false,
    spins: false,
    open: async (width) => ({ endpoint: await tcp.open({ host, rails: width }) }),
  },
}

export function fabricOf({ fabric }: Lane): Fabric {
  const found = fabrics[fabric]
  if (found === undefined) throw new Error(`there is no fabric ${fabric}`)
  return found
}

export const laneText = ({ fabric, width }: Lane): string => `${fabric} × ${width}`

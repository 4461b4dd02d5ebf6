import { defaultRdmaSettings } from "../../config/rdma-settings.ts"
import type { Crew } from "../../movers/crew.ts"
import { openCrew } from "../../movers/thread-crew.ts"
import { createCma } from "../../transport/cma/cma.ts"
import { createLibfabric } from "../../transport/libfabric/libfabric.ts"
import { createShm } from "../../transport/shm/shm.ts"
import { tcp } from "../../transport/tcp/tcp.ts"
import type { Endpoint, Rights, Transport } from "../../transport/transport.ts"
import type { PageKind } from "./pool.ts"

/** One fabric with a number of rails: streams, or threads that copy. */
export interface Lane {
  readonly fabric: FabricName
  readonly width: number
}

export type FabricName = "shm" | "cma" | "tcp" | "libfabric"

/** What the benchmark knows of a fabric. */
interface Fabric {
  /** How one rail is called. */
  readonly rail: "thread" | "stream" | "endpoint"
  /** Measured only when `--only` names it: it needs a library that a machine may not have. */
  readonly onRequest?: true
  /** The pages that its pools are made of, each in a phase of its own. */
  readonly pages: readonly PageKind[]
  /** Whether a reader can use the source's blocks in place. */
  readonly attaches: boolean
  /** Whether both sides keep a core busy while they wait for each other; else they sleep in the kernel. */
  readonly spins: boolean
  /** @param crew the threads that copy, for a fabric that has any; a crew of its own, as wide as the lane, when absent. */
  open(width: number, crew?: Crew): Promise<Endpoint>
}

export const host = "127.0.0.1"

/** What the source's regions are registered for. */
export const readers: Rights = { read: true, write: false }
/** The target's regions are filled by reads, and by the peers' engines that map them: nothing is sealed. */
export const writers: Rights = { read: true, write: true }

/** Every fabric that crosses processes, in the order of the report. A new one is added here. */
export const fabrics: Readonly<Record<FabricName, Fabric>> = {
  shm: {
    rail: "thread",
    pages: ["memory files"],
    attaches: true,
    spins: false,
    open: (width, crew) => openWithCrew(createShm, width, crew),
  },
  cma: {
    rail: "thread",
    pages: ["4 KiB pages", "2 MiB pages"],
    attaches: false,
    spins: false,
    open: (width, crew) => openWithCrew(createCma, width, crew),
  },
  tcp: {
    rail: "stream",
    pages: ["memory files"],
    attaches: false,
    spins: false,
    open: (width) => tcp.open({ host, rails: width }),
  },
  // Over tcp, which every machine has: the provider that NIXL's LIBFABRIC is measured with.
  libfabric: {
    rail: "endpoint",
    onRequest: true,
    pages: ["memory files"],
    attaches: false,
    spins: false,
    open: (width) =>
      createLibfabric({ rdma: { ...defaultRdmaSettings, fabricProviders: ["tcp"] } }).open({
        host,
        rails: width,
      }),
  },
}

export const fabricOf = ({ fabric }: Lane): Fabric => fabrics[fabric]

/** Each lane has a crew of its own, as wide as it says. A crew without work is parked, so that many may stand by. */
async function openWithCrew(
  create: (options: { readonly crew: Crew }) => Transport,
  width: number,
  crew: Crew | undefined,
): Promise<Endpoint> {
  return create({ crew: crew ?? (await openCrew({ threads: width })) }).open({ host, rails: width })
}

export const laneText = ({ fabric, width }: Lane): string => `${fabric} × ${width}`

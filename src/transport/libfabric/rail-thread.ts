/** The entry of the thread of a libfabric rail. */
import { runRail } from "../rdma/run-rail.ts"
import type { PortStart } from "./lane-handle.ts"
import { LibfabricPort } from "./libfabric-port.ts"

runRail((start) => new LibfabricPort(start as PortStart))

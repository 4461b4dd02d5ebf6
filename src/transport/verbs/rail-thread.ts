/** The entry of the thread of a verbs rail. */
import type { VerbsRailPointers } from "../../os/verbs/verbs-rail.ts"
import { runRail } from "../rdma/run-rail.ts"
import { VerbsPort } from "./verbs-port.ts"

runRail((port) => new VerbsPort(port as VerbsRailPointers))

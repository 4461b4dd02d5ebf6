import { twoProcessTests } from "./two-processes.test.kit.ts"
import { noLibfabric } from "./two-rails.test.kit.ts"

const skip = noLibfabric()
for (const provider of ["tcp", "shm"] as const) twoProcessTests({ provider }, skip)

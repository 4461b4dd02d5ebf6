import { test } from "node:test"
import { defaultRdmaSettings } from "../../config/rdma-settings.ts"
import { transportContract } from "../contract.ts"
import { createLibfabric } from "./libfabric.ts"
import { noLibfabric } from "./two-rails.test.kit.ts"

const reason = noLibfabric()
const settings = { ...defaultRdmaSettings, sliceBytes: 256 * 1024 }

for (const provider of ["tcp", "shm"] as const) {
  const transport = createLibfabric({ rdma: { ...settings, fabricProviders: [provider] } })
  const title = `libfabric over ${provider}`
  if (reason === false) transportContract(transport, {}, title)
  else test(`${title}: the contract of transports`, { skip: reason }, () => {})
}

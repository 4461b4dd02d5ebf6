import { test } from "node:test"
import { transportContract } from "../contract.ts"
import { createNixl } from "./nixl.ts"
import { needsNixl, nixlLibrary } from "./nixl-here.test.kit.ts"

if (nixlLibrary === undefined) test("nixl: the contract, over UCX", needsNixl, () => {})
else {
  transportContract(createNixl({ library: nixlLibrary }), {
    "unequal rails":
      "a nixl endpoint has one rail: which NICs carry a request, and in which shares, NIXL's backend decides",
  })
}

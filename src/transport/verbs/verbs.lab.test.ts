import { transportContract } from "../contract.ts"
import { wireEnds } from "../rdma/rail-faults.test.kit.ts"
import { createVerbs } from "./verbs.ts"

// Rails on the two devices that stand alone: the ends of a wire reach each other and nobody else.
transportContract(createVerbs({ excluded: wireEnds }), {
  "large regions": "a NIC pins the pages of a region: 8 GiB that the lab's machines do not have",
})

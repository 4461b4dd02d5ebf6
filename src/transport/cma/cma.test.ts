import { after } from "node:test"
import { openCrew } from "../../movers/thread-crew.ts"
import { transportContract } from "../contract.ts"
import { createCma } from "./cma.ts"

const crew = await openCrew({ threads: 2 })
after(() => crew[Symbol.asyncDispose]())

transportContract(createCma({ crew }), {
  "unequal rails":
    "cma has one rail: the threads of a crew share each move by the chunk, and none is tied to a part of the plan",
})

import { after } from "node:test"
import { openCrew } from "../../movers/thread-crew.ts"
import { transportContract } from "../contract.ts"
import { createShm } from "./shm.ts"

const crew = await openCrew({ threads: 1 })
after(() => crew[Symbol.asyncDispose]())

transportContract(createShm({ crew }), {
  "large regions":
    "shm takes every page of a region when it is registered: 8 GiB that not every machine has to spare",
  "unequal rails":
    "shm has one rail, the memory itself: pieces are dealt to the crew's threads as these get free",
})

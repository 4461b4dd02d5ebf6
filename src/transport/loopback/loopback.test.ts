import { transportContract } from "../contract.ts"
import { loopback } from "./loopback.ts"

transportContract(loopback, {
  "busy main thread":
    "loopback copies on the calling thread: it is for one process, and has no threads of its own",
})

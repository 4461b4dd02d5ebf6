/** Every transport that the promises are held over. A new one is a line here. */
import { after } from "node:test"
import { openCrew } from "../movers/thread-crew.ts"
import { createCma } from "../transport/cma/cma.ts"
import { loopback } from "../transport/loopback/loopback.ts"
import { createNixl } from "../transport/nixl/nixl.ts"
import { nixlLibrary } from "../transport/nixl/nixl-here.test.kit.ts"
import { createShm } from "../transport/shm/shm.ts"
import { tcp } from "../transport/tcp/tcp.ts"
import type { Transport } from "../transport/transport.ts"

const crew = await openCrew({ threads: 1 })
after(() => crew[Symbol.asyncDispose]())

const shm = createShm({ crew })
const cma = createCma({ crew })
/** Another engine, where one is named: `transport/nixl/nixl-here.test.kit.ts`. */
const engines = nixlLibrary === undefined ? [] : [createNixl({ library: nixlLibrary })]

/** Between two agents of one process. */
export const transports: readonly Transport[] = [loopback, tcp, shm, cma, ...engines]

/** Between processes, by the name under which `process.test.kit.ts` opens them. */
export const betweenProcesses: readonly Transport[] = [tcp, shm, cma, ...engines]

/** Set by whoever wants every case, whatever it takes: `KVFERRY_LONG=1 npm test -- promises`. */
export const long = process.env["KVFERRY_LONG"] === "1"

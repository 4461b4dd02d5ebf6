/** The core of the RDMA transports over a fabric on paper: everything above the NIC, with real rail threads, on any machine. */
import { transportContract } from "../contract.ts"
import { PaperFabric } from "./paper-fabric.test.kit.ts"
import { rdmaTransport } from "./rdma-transport.ts"

const likeVerbs = new PaperFabric({ ordered: true, writesAreVisible: false })
transportContract(rdmaTransport(likeVerbs.driver, { sliceBytes: 65536 }), {}, "paper, like verbs")

const likeSrd = new PaperFabric({ ordered: false, writesAreVisible: true, registrationBytes: 5 * 2 ** 20 })
transportContract(rdmaTransport(likeSrd.driver, { sliceBytes: 65536 }), {}, "paper, without order, in parts")

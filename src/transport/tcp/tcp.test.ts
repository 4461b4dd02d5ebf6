import { transportContract } from "../contract.ts"
import { createTcp, tcp } from "./tcp.ts"

transportContract(tcp)
transportContract(createTcp({ encryption: "tls" }), {}, "tcp (tls)")

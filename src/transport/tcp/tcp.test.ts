import { transportContract } from "../contract.ts"
import { tcp } from "./tcp.ts"

transportContract(tcp)

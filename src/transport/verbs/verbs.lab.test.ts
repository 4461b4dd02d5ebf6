import { transportContract } from "../contract.ts"
import { createVerbs } from "./verbs.ts"

transportContract(createVerbs())

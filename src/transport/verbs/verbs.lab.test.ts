import { transportContract } from "../contract.ts"
import { createVerbs } from "./verbs.ts"

// Rails on the two devices that stand alone: the ends of a wire reach each other and nobody else.
transportContract(createVerbs({ excluded: ["rxw0", "rxw1"] }))

import { testLies } from "./judge-liar.test.kit.ts"

testLies(1)

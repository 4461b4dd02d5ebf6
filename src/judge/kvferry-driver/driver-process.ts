/**
 * The entry of a driver of kvferry: one process, one agent, as the judge's protocol wants it.
 *
 * It ends by SIGKILL when its standard input does, because its threads may wait in native calls that nothing else ends.
 */
import { createInterface } from "node:readline"
import { dieWithParent } from "../../os/die-with-parent.ts"
import type { Op, Question } from "../driver/protocol.ts"
import { secretVariable } from "../engines/secret-variable.ts"
import { Driver } from "./driver.ts"
import { engineError } from "./engine-words.ts"

dieWithParent()
const driver = new Driver(Buffer.from(process.env[secretVariable] ?? "", "hex"))
// Nothing that this process starts, or prints of itself, shall know it.
delete process.env[secretVariable]

createInterface({ input: process.stdin })
  .on("line", (line) => void answer(line))
  .on("close", () => process.kill(process.pid, "SIGKILL"))

async function answer(line: string): Promise<void> {
  const { call, op, ...args } = JSON.parse(line) as Question
  try {
    say({ call, answer: await driver.answer(op as Op, args as never) })
  } catch (thrown) {
    say({ call, error: engineError(thrown) })
  }
  if (op === "close") process.stdout.write("", () => process.exit(0))
}

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

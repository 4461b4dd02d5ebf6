import assert from "node:assert/strict"
import { test } from "node:test"
import { DriverFailed } from "../driver/driver-failed.ts"
import { Pattern } from "../pattern/pattern.ts"
import { liar } from "../run/judge-liar.test.kit.ts"
import { checkVersions, openQuestion } from "./connect-engine.ts"
import { dealLoad } from "./deal-load.ts"
import { tiny } from "./load.test.kit.ts"
import { loadRequest } from "./load-request.ts"
import { LocalAgent } from "./local-agent.ts"

test("two versions of one engine are refused, with both", { timeout: 60_000 }, async () => {
  const request = loadRequest(tiny)
  const dealt = dealLoad(request)
  const pattern = new Pattern(1)
  const agents: LocalAgent[] = []
  try {
    for (const agent of dealt.agents)
      agents.push(await LocalAgent.start(liar("honest"), agent, dealt.agents, pattern))
    const options = { spec: request.engines[0]!, request, dealt, agents, hostOf: () => "127.0.0.1" }
    const opened = await Promise.all(agents.map((agent) => agent.open(openQuestion(options, agent))))
    checkVersions(options, opened)
    const [one, two] = [opened[0]!, { ...opened[1]!, version: "0.0.1" }]
    assert.throws(
      () => checkVersions(options, [one, two]),
      (thrown: unknown) => {
        assert.ok(thrown instanceof DriverFailed)
        assert.match(
          thrown.message,
          new RegExp(`prefill-0 has version ${one.version}, decode-0 has 0[.]0[.]1`),
        )
        return true
      },
    )
  } finally {
    for (const agent of agents) await agent[Symbol.asyncDispose]()
  }
})

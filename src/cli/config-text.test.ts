import assert from "node:assert/strict"
import { test } from "node:test"
import { Command } from "commander"
import { configReport } from "../config/config-report.ts"
import { styleFor } from "../terminal/style.ts"
import { configLines } from "./config-text.ts"
import { addRdmaOptions, rdmaArguments, rdmaTexts } from "./rdma-options.ts"

const plain = styleFor({ isTTY: false }, {})
const textOf = (env: Record<string, string>, origin = true, paths = ["libfabric", "verbs"]): string =>
  configLines(configReport(env, { paths, options: {} }), plain, origin).join("\n")

test("each value is shown with where it came from, and what would set it", () => {
  const text = textOf({ MC_IB_PCI_RELAXED_ORDERING: "0", KVFERRY_DEVICES: "mlx5_0,mlx5_1" })
  assert.match(
    text,
    /^relaxed-ordering +off +MC_IB_PCI_RELAXED_ORDERING +--relaxed-ordering, KVFERRY_RELAXED/m,
  )
  assert.match(text, /^devices +mlx5_0,mlx5_1 +KVFERRY_DEVICES +--devices, .*MC_TE_FILTERS, MC_MS_FILTERS$/m)
  assert.match(text, /^slice-bytes +1048576 +default /m)
  assert.match(text, /^gid-index +RoCE v2 over IPv4 before IPv6 +default /m)
  const short = textOf({ MC_SLICE_SIZE: "65536" }, false)
  assert.match(short, /^slice-bytes +65536$/m)
})

test("the environment of libfabric: what is there, what we set, what is recommended", () => {
  const text = textOf({ FI_EFA_TX_SIZE: "8192", FI_HMEM: "cuda" })
  assert.match(text, /^FI_EFA_TX_SIZE +8192 +- +unset$/m)
  assert.match(text, /^FI_HMEM +cuda +- +system$/m)
  assert.match(text, /^FI_EFA_ENABLE_SHM_TRANSFER +- +0 +0$/m)
  assert.ok(!textOf({}, false).includes("FI_EFA_TX_SIZE"), "without --origin only what is set, or will be")
})

test("warnings and wrong values end the page; nothing hostile reaches the terminal raw", () => {
  const text = textOf({
    MC_FORCE_TCP: "1",
    KVFERRY_NUMA: "\u001b]0;x\u0007",
    FI_EFA_IFACE: "\u001b[2J\u202e",
  })
  assert.match(text, /warning: MC_FORCE_TCP is set: .*--paths tcp/)
  assert.match(text, /wrong: KVFERRY_NUMA is .*it must be a whole number/)
  assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Bidi_Control}]/u)
  assert.match(textOf({}), /no variable is set that nothing reads/)
})

test("a wrong value in another program's variable is wrong where a path uses RDMA, as for a worker", () => {
  const env = { MC_GID_INDEX: "abc" }
  assert.match(textOf(env), /^wrong: MC_GID_INDEX is "abc"/m)
  assert.doesNotMatch(textOf(env, true, ["tcp"]), /wrong:/)
  assert.match(textOf({ KVFERRY_GID_INDEX: "abc" }, true, ["tcp"]), /^wrong: KVFERRY_GID_INDEX/m)
})

test("what libfabric would end the process for is among the wrong values, where libfabric is a path", () => {
  assert.match(textOf({ FI_EFA_MTU_SIZE: "8192" }), /wrong: FI_EFA_MTU_SIZE is set: libfabric ends a process/)
  assert.doesNotMatch(textOf({ FI_EFA_MTU_SIZE: "8192" }, true, ["verbs"]), /wrong:/)
})

test("options are taken as they are written, and passed on so", () => {
  const command = addRdmaOptions(new Command("x")).action(() => {})
  command.parse(["--devices", "a,b", "--max-concurrent-registrations", "3", "--numa", "-1"], { from: "user" })
  assert.deepEqual(rdmaTexts(command), { devices: "a,b", numa: "-1", "max-concurrent-registrations": "3" })
  assert.deepEqual(rdmaArguments(command), ["--devices=a,b", "--numa=-1", "--max-concurrent-registrations=3"])
})

import assert from "node:assert/strict"
import { test } from "node:test"
import type { LocalReport } from "../serve/explain-local.ts"
import { styleFor } from "../terminal/style.ts"
import { localLines } from "./local-text.ts"

const report: LocalReport = {
  schema: "kvferry/explain-local/1",
  paths: [
    {
      transport: "verbs",
      open: true,
      rails: [
        { rail: 0, facts: { device: "mlx5_0 port 1 (Ethernet)", ordering: "relaxed ordering is asked for" } },
      ],
    },
    {
      transport: "libfabric",
      open: false,
      rails: [],
      error: {
        code: "KV_TRANSPORT_UNAVAILABLE",
        what: "no provider answered",
        why: "efa: No data available",
      },
    },
  ],
  rdma: [{ what: "devices", where: "/sys/class/infiniband", found: false, detail: "none" }],
  next: "load the driver",
  efa: [{ what: "PCI functions", where: "/sys/bus/pci/devices", found: true, detail: "0000:31:00.0" }],
  libraries: [{ name: "libfabric.so.1", where: "/etc/ld.so.cache" }],
  pinnableBytes: 65_536,
  warnings: ["MC_FORCE_TCP is set: it has no effect here"],
}
const textOf = (changes: Partial<LocalReport> = {}): string =>
  localLines({ ...report, ...changes }, styleFor({ isTTY: false }, {})).join("\n")

test("each path says whether it opens, with its rails or with what went wrong", () => {
  const text = textOf()
  assert.match(text, /^verbs +yes +1 rail, below$/m)
  assert.match(text, /^ {2}verbs, rail 0\n {4}device +mlx5_0 port 1 \(Ethernet\)\n {4}ordering +relaxed/m)
  assert.match(text, /^libfabric +no +no provider answered$/m)
  assert.match(text, /^ {2}libfabric\n {4}why +efa: No data available$/m)
})

test("what is missing says where it was looked for, and what would bring it", () => {
  const text = textOf()
  assert.match(text, /^ {2}no {3}devices +none\n +looked for in \/sys\/class\/infiniband$/m)
  assert.match(text, /^ {2}yes {2}PCI functions +0000:31:00\.0\n(?! +looked)/m)
  assert.match(text, /^ {2}no {3}libfabric\.so\.1 +none\n +looked for in \/etc\/ld\.so\.cache$/m)
  assert.match(text, /next: load the driver/)
  assert.match(text, /pinned: 64\.0 KiB \(RLIMIT_MEMLOCK\)/)
  assert.match(text, /MC_FORCE_TCP is set/)
  assert.match(textOf({ next: null, pinnableBytes: null }), /everything is there\n.*no limit holds/)
})

test("hostile names do not reach the terminal raw", () => {
  const evil = "\u001b[2J\u202e\nx"
  const text = textOf({
    paths: [
      { transport: evil, open: true, rails: [{ rail: 0, facts: { [evil]: evil } }] },
      { transport: "tcp", open: false, rails: [], error: { code: "KV_OS", what: evil } },
    ],
    rdma: [{ what: "devices", where: evil, found: false, detail: evil }],
    libraries: [{ name: "libfabric.so.1", where: evil, file: evil }],
    warnings: [evil],
  })
  assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Bidi_Control}]/u)
})

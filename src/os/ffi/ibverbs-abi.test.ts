import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import koffi from "koffi"
import { ibverbsAbi, portAttrBytes } from "./ibverbs-abi.ts"

const compiler = process.env["CC"] ?? "cc"

/** The structures of which the library reads or writes whole arrays, with every field up to the end. */
const structs = {
  ibv_sge: { addr: "uint64_t", length: "uint32_t", lkey: "uint32_t" },
  ibv_recv_wr: { wr_id: "uint64_t", next: "uintptr_t", sg_list: "uintptr_t", num_sge: "int" },
  ibv_wc: {
    wr_id: "uint64_t",
    status: "int",
    opcode: "int",
    vendor_err: "uint32_t",
    byte_len: "uint32_t",
    imm_data: "uint32_t",
    qp_num: "uint32_t",
    src_qp: "uint32_t",
    wc_flags: "unsigned int",
    pkey_index: "uint16_t",
    slid: "uint16_t",
    sl: "uint8_t",
    dlid_path_bits: "uint8_t",
  },
} as const

test("work requests and completions have the layout that this platform's C rules give", () => {
  const recorded: Record<string, number> = { ...ibverbsAbi }
  for (const [name, fields] of Object.entries(structs)) {
    const type = koffi.struct({ ...fields })
    assert.equal(koffi.sizeof(type), recorded[`sizeof.${name}`], name)
    for (const field of Object.keys(fields)) {
      const key = `${name}.${field}`
      if (key in recorded) assert.equal(koffi.offsetof(type, field), recorded[key], key)
    }
  }
})

test("every entry of our table is what this machine's verbs.h says, and none is missing", (t) => {
  if (spawnSync(compiler, ["--version"]).status !== 0) {
    return t.skip(`no C compiler (${compiler}) on this machine`)
  }
  const folder = mkdtempSync(join(tmpdir(), "kvferry-abi-"))
  try {
    const probe = spawnSync(compiler, ["-E", "-x", "c", "-"], { input: "#include <infiniband/verbs.h>\n" })
    if (probe.status !== 0) {
      return t.skip("infiniband/verbs.h is not on this machine (package libibverbs-dev or rdma-core-devel)")
    }
    const source = fileURLToPath(new URL("../../../tools/abi/ibverbs-abi.c", import.meta.url))
    const program = join(folder, "ibverbs-abi")
    execFileSync(compiler, ["-o", program, source], { stdio: "pipe" })
    const printed: unknown = JSON.parse(execFileSync(program, { encoding: "utf8" }))
    assert.deepEqual(printed, { ...ibverbsAbi })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test("the memory for ibv_query_port holds all that its symbol fills", () => {
  assert.ok(portAttrBytes >= ibverbsAbi["ibv_port_attr.flags"] + 1)
})

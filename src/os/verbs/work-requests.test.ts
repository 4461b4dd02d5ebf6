import assert from "node:assert/strict"
import { test } from "node:test"
import koffi from "koffi"
import { ControlMemory } from "../control-memory.ts"
import { ibverbsAbi as abi } from "../ffi/ibverbs-abi.ts"
import { opcode, swapped, WorkRequests } from "./work-requests.ts"

const size = abi["sizeof.ibv_send_wr"]

/** What a provider would read: the chain from its first request on, by its links. */
function walk(
  chain: WorkRequests,
): { id: bigint; opcode: number; flags: number; place: DataView; data: DataView }[] {
  const found = []
  for (let at = BigInt(chain.address); at !== 0n; ) {
    const data = new DataView(koffi.view(at, size))
    const list = data.getBigUint64(abi["ibv_send_wr.sg_list"], true)
    found.push({
      id: data.getBigUint64(abi["ibv_send_wr.wr_id"], true),
      opcode: data.getInt32(abi["ibv_send_wr.opcode"], true),
      flags: data.getUint32(abi["ibv_send_wr.send_flags"], true),
      place: new DataView(koffi.view(list, abi["sizeof.ibv_sge"])),
      data,
    })
    assert.ok(found.length <= chain.capacity, "a chain ends")
    at = data.getBigUint64(abi["ibv_send_wr.next"], true)
  }
  return found
}

test("a chain is read back as it was written, with addresses beyond 32 bits", () => {
  using memory = new ControlMemory(WorkRequests.controlBytes(8) + 4096)
  const chain = new WorkRequests(memory, 8)
  for (let i = 0; i < 3; i++)
    chain.set(
      i,
      opcode.read,
      i === 2,
      100 + i,
      0xc0000001,
      0x7f1234567000 + i,
      4096 + i,
      0xfffffff0 + i,
      2 ** 45 + i,
      0,
    )
  chain.close(3)
  const read = walk(chain)
  assert.equal(read.length, 3)
  for (const [i, { id, opcode: code, flags, place, data }] of read.entries()) {
    assert.equal(id, (0xc0000001n << 32n) | BigInt(100 + i))
    assert.equal(code, abi.IBV_WR_RDMA_READ)
    assert.equal(flags, i === 2 ? abi.IBV_SEND_SIGNALED : 0)
    assert.equal(place.getBigUint64(abi["ibv_sge.addr"], true), BigInt(0x7f1234567000 + i))
    assert.equal(place.getUint32(abi["ibv_sge.length"], true), 4096 + i)
    assert.equal(place.getUint32(abi["ibv_sge.lkey"], true), 0xfffffff0 + i)
    assert.equal(data.getBigUint64(abi["ibv_send_wr.wr.rdma.remote_addr"], true), BigInt(2 ** 45 + i))
    // Key 0 is a key.
    assert.equal(data.getUint32(abi["ibv_send_wr.wr.rdma.rkey"], true), 0)
  }
})

test("a chain that was cut is whole again, also the longest one", () => {
  using memory = new ControlMemory(WorkRequests.controlBytes(8) + 4096)
  const chain = new WorkRequests(memory, 8)
  for (const length of [1, 8, 5]) {
    chain.close(length)
    assert.equal(walk(chain).length, length)
    chain.open(length)
    assert.equal(walk(chain).length, 8)
  }
})

test("a notice carries its 32 bits in network order, and no memory", () => {
  using memory = new ControlMemory(WorkRequests.controlBytes(2) + 4096)
  const chain = new WorkRequests(memory, 2)
  chain.setNotice(0, 1, 2, 0x01020304)
  chain.close(1)
  const [notice] = walk(chain)
  assert.equal(notice!.opcode, abi.IBV_WR_SEND_WITH_IMM)
  assert.equal(notice!.data.getInt32(abi["ibv_send_wr.num_sge"], true), 0)
  assert.equal(notice!.data.getUint32(abi["ibv_send_wr.imm_data"], false), 0x01020304)
  chain.set(0, opcode.write, true, 0, 0, 1, 1, 1, 1, 1)
  chain.setImmediate(0, opcode.writeWithNotice, 0xfffffffe)
  assert.equal(notice!.data.getInt32(abi["ibv_send_wr.opcode"], true), abi.IBV_WR_RDMA_WRITE_WITH_IMM)
  assert.equal(notice!.data.getInt32(abi["ibv_send_wr.num_sge"], true), 1)
  assert.equal(notice!.data.getUint32(abi["ibv_send_wr.imm_data"], false), 0xfffffffe)
  assert.equal(swapped(swapped(0x89abcdef)), 0x89abcdef)
})

test("the library's word for the first request that it did not take is found", () => {
  using memory = new ControlMemory(WorkRequests.controlBytes(8) + 4096)
  const chain = new WorkRequests(memory, 8)
  assert.equal(chain.placeOf(chain.address), 0)
  assert.equal(chain.placeOf(chain.address + 5 * size), 5)
})

/**
 * The ceiling of what JavaScript can post: libibverbs by FFI in one thread, with nothing around it.
 *
 * One queue pair with itself (both ends in this process, on one device), one region, a chain of requests that is written once and
 * posted again and again. Offsets are those of src/os/ffi/ibverbs-abi.ts, imported from dist.
 */
import koffi from "koffi"

const { ibverbsAbi: abi } = await import(new URL("../../dist/os/ffi/ibverbs-abi.js", import.meta.url))
const pointer = "uintptr_t"
const libc = koffi.load("libc.so.6")
const ibv = koffi.load("libibverbs.so.1")
const call = (library, name, result, ...parameters) => library.func(name, result, parameters)
const mmap = call(libc, "mmap", pointer, pointer, "size_t", "int", "int", "int", "int64_t")
const deviceList = call(ibv, "ibv_get_device_list", pointer, pointer)
const deviceName = call(ibv, "ibv_get_device_name", "str", pointer)
const openDevice = call(ibv, "ibv_open_device", pointer, pointer)
const allocDomain = call(ibv, "ibv_alloc_pd", pointer, pointer)
const createQueue = call(ibv, "ibv_create_cq", pointer, pointer, "int", pointer, pointer, "int")
const register = call(ibv, "ibv_reg_mr", pointer, pointer, pointer, "size_t", "int")
const createPair = call(ibv, "ibv_create_qp", pointer, pointer, pointer)
const modifyPair = call(ibv, "ibv_modify_qp", "int", pointer, pointer, "int")
const queryGid = call(ibv, "ibv_query_gid", "int", pointer, "uint8_t", "int", pointer)

/** Zeroed memory that never moves. */
function memory(bytes) {
  const address = mmap(0, bytes, 3, 0x22, -1, 0)
  return { address, view: new DataView(koffi.view(address, bytes)) }
}

const fieldsAt = (address, bytes) => new DataView(koffi.view(address, bytes))

/** Opens `device`, and connects a queue pair of it with another one of it. Returns what the loops below need. */
export function openRaw(device, gidIndex, regionBytes, depth) {
  const scratch = memory(65536)
  const list = deviceList(scratch.address)
  const count = scratch.view.getInt32(0, true)
  const devices = fieldsAt(list, count * 8)
  const found = Array.from({ length: count }, (_, i) => Number(devices.getBigUint64(i * 8, true))).find(
    (candidate) => deviceName(candidate) === device,
  )
  const context = openDevice(found)
  const operations = fieldsAt(context, 264)
  const bind = (slot, prototype) =>
    koffi.decode(operations.getBigUint64(abi[`ibv_context.ops.${slot}`], true), prototype)
  const post = bind("post_send", koffi.proto("int", [pointer, pointer, pointer]))
  const poll = bind("poll_cq", koffi.proto("int", [pointer, "int", pointer]))
  const domain = allocDomain(context)
  const region = memory(regionBytes)
  const registration = fieldsAt(register(domain, region.address, regionBytes, 7), abi["sizeof.ibv_mr"])
  const lkey = registration.getUint32(abi["ibv_mr.lkey"], true)
  const rkey = registration.getUint32(abi["ibv_mr.rkey"], true)
  queryGid(context, 1, gidIndex, scratch.address)
  const gid = new Uint8Array(koffi.view(scratch.address, 16)).slice()
  const queue = createQueue(context, depth * 2, 0, 0, 0)
  const pairs = [0, 1].map(() => {
    clear(scratch)
    const { view } = scratch
    view.setBigUint64(abi["ibv_qp_init_attr.send_cq"], BigInt(queue), true)
    view.setBigUint64(abi["ibv_qp_init_attr.recv_cq"], BigInt(queue), true)
    view.setUint32(abi["ibv_qp_init_attr.cap.max_send_wr"], depth, true)
    for (const cap of ["max_recv_wr", "max_send_sge", "max_recv_sge"])
      view.setUint32(abi[`ibv_qp_init_attr.cap.${cap}`], 1, true)
    view.setInt32(abi["ibv_qp_init_attr.qp_type"], abi.IBV_QPT_RC, true)
    const pair = createPair(domain, scratch.address)
    return { pair, number: fieldsAt(pair, 64).getUint32(abi["ibv_qp.qp_num"], true) }
  })
  for (const [i, { pair }] of pairs.entries()) connect(scratch, pair, pairs[1 - i].number, gid, gidIndex)
  return { post, poll, queue, pair: pairs[0].pair, region, lkey, rkey }
}

function clear({ address }) {
  new Uint8Array(koffi.view(address, 256)).fill(0)
}

function connect(scratch, pair, peer, gid, gidIndex) {
  const { view, address } = scratch
  const step = (mask, set) => {
    clear(scratch)
    set()
    const code = modifyPair(pair, address, mask)
    if (code !== 0) throw new Error(`ibv_modify_qp answered ${code}`)
  }
  const u8 = (field, value) => view.setUint8(abi[`ibv_qp_attr.${field}`], value)
  const u32 = (field, value) => view.setUint32(abi[`ibv_qp_attr.${field}`], value, true)
  step(abi.IBV_QP_STATE | abi.IBV_QP_PKEY_INDEX | abi.IBV_QP_PORT | abi.IBV_QP_ACCESS_FLAGS, () => {
    u32("qp_state", abi.IBV_QPS_INIT)
    u32("qp_access_flags", 7)
    u8("port_num", 1)
  })
  const route =
    abi.IBV_QP_STATE | abi.IBV_QP_AV | abi.IBV_QP_PATH_MTU | abi.IBV_QP_DEST_QPN | abi.IBV_QP_RQ_PSN
  step(route | abi.IBV_QP_MAX_DEST_RD_ATOMIC | abi.IBV_QP_MIN_RNR_TIMER, () => {
    const handle = abi["ibv_qp_attr.ah_attr"]
    u32("qp_state", abi.IBV_QPS_RTR)
    u32("path_mtu", abi.IBV_MTU_4096)
    u32("dest_qp_num", peer)
    new Uint8Array(koffi.view(address + handle + abi["ibv_ah_attr.grh"], 16)).set(gid)
    view.setUint8(handle + abi["ibv_ah_attr.grh"] + abi["ibv_global_route.sgid_index"], gidIndex)
    view.setUint8(handle + abi["ibv_ah_attr.grh"] + abi["ibv_global_route.hop_limit"], 64)
    view.setUint8(handle + abi["ibv_ah_attr.is_global"], 1)
    view.setUint8(handle + abi["ibv_ah_attr.port_num"], 1)
    u8("max_dest_rd_atomic", 16)
    u8("min_rnr_timer", 12)
  })
  const sending = abi.IBV_QP_STATE | abi.IBV_QP_TIMEOUT | abi.IBV_QP_RETRY_CNT | abi.IBV_QP_RNR_RETRY
  step(sending | abi.IBV_QP_SQ_PSN | abi.IBV_QP_MAX_QP_RD_ATOMIC, () => {
    u32("qp_state", abi.IBV_QPS_RTS)
    u8("max_rd_atomic", 16)
    u8("timeout", 14)
    u8("retry_cnt", 6)
    u8("rnr_retry", 6)
  })
}

/** READs of `bytes` bytes in chains of `batch`, the last of each signalled, composed anew each time. Returns requests a second. */
export function rawReads(raw, bytes, batch, millis) {
  const { post, poll, queue, pair, region, lkey, rkey } = raw
  const wr = abi["sizeof.ibv_send_wr"]
  const chain = memory(Math.ceil((batch * (wr + 16) + 4096) / 4096) * 4096)
  const words = new Uint32Array(koffi.view(chain.address, batch * (wr + 16)))
  const completions = memory(4096)
  const low = (value) => value % 2 ** 32
  const high = (value) => Math.floor(value / 2 ** 32)
  const at = (field) => abi[`ibv_send_wr.${field}`] / 4
  const places = [at("next"), at("sg_list"), at("num_sge"), at("opcode"), at("send_flags")]
  const [next, list, count, opcode, flags] = places
  const [remote, key] = [at("wr.rdma.remote_addr"), at("wr.rdma.rkey")]
  let requests = 0
  let turn = 0
  const start = performance.now()
  while (performance.now() - start < millis) {
    for (let i = 0; i < batch; i++) {
      const w = (i * wr) / 4
      const s = (batch * wr + i * 16) / 4
      const place = chain.address + batch * wr + i * 16
      const following = i === batch - 1 ? 0 : chain.address + (i + 1) * wr
      const offset = ((turn * batch + i) * bytes) % (region.view.byteLength / 2)
      words[w] = i
      words[w + next] = low(following)
      words[w + next + 1] = high(following)
      words[w + list] = low(place)
      words[w + list + 1] = high(place)
      words[w + count] = 1
      words[w + opcode] = abi.IBV_WR_RDMA_READ
      words[w + flags] = i === batch - 1 ? abi.IBV_SEND_SIGNALED : 0
      const from = region.address + region.view.byteLength / 2 + offset
      words[w + remote] = low(from)
      words[w + remote + 1] = high(from)
      words[w + key] = rkey
      words[s] = low(region.address + offset)
      words[s + 1] = high(region.address + offset)
      words[s + 2] = bytes
      words[s + 3] = lkey
    }
    const code = post(pair, chain.address, completions.address + 2048)
    if (code !== 0) throw new Error(`post_send answered ${code}`)
    while (poll(queue, 16, completions.address) === 0);
    if (completions.view.getInt32(abi["ibv_wc.status"], true) !== 0) throw new Error("a read failed")
    requests += batch
    turn += 1
  }
  return requests / ((performance.now() - start) / 1000)
}

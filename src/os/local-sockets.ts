import { type ControlBlock, ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/** Most files that one message carries. The kernel's own limit is 253. */
export const filesPerMessageMax = 32

const socketFlags = abi.SOCK_STREAM | abi.SOCK_NONBLOCK | abi.SOCK_CLOEXEC
const backlog = 128
const cmsgBytes = abi["sizeof.cmsghdr"]
const controlBytes = cmsgBytes + filesPerMessageMax * 4

/** Who is at the other end of a local socket, as the kernel noted it when the two were connected. */
export interface SocketPeer {
  readonly pid: number
  readonly uid: number
}

/** What one `receiveFiles` brought. */
export interface ReceivedFiles {
  /** The one byte that came with them; undefined when nothing was there, or the other end has hung up. */
  readonly mark: number | undefined
  /** Now owned by the caller. */
  readonly files: readonly number[]
  /** True when the kernel dropped files: this process had no room for more descriptors. */
  readonly dropped: boolean
}

interface Scratch {
  readonly block: ControlBlock
  readonly header: ControlBlock
  readonly iovec: ControlBlock
  readonly control: ControlBlock
}

let scratch: Scratch | undefined

/** Listens on a name of the abstract namespace: no file, gone with its socket. @throws KvError KV_PORT_IN_USE, KV_OS. */
export function listenLocally(name: string): number {
  const fd = openSocket()
  const length = writeAddress(name)
  if (libc.bind(fd, memory().block.address, length) === 0 && libc.listen(fd, backlog) === 0) return fd
  const code = errno()
  libc.close(fd)
  throw osError(
    "bind",
    code,
    { what: `cannot listen on the local socket @${name}` },
    code === abi.EADDRINUSE ? "KV_PORT_IN_USE" : "KV_OS",
  )
}

/**
 * Connects to a local socket, without waiting: undefined when its queue of callers is full, so try again later.
 * @throws KvError KV_PEER_UNREACHABLE, KV_OS.
 */
export function connectLocally(name: string): number | undefined {
  const fd = openSocket()
  if (libc.connect(fd, memory().block.address, writeAddress(name)) === 0) return fd
  const code = errno()
  libc.close(fd)
  if (code === abi.EAGAIN || code === abi.EINTR) return undefined
  throw osError(
    "connect",
    code,
    { what: `cannot reach the local socket @${name}`, next: "check that the peer still runs" },
    "KV_PEER_UNREACHABLE",
  )
}

/** The process at the other end; undefined when the kernel does not say. */
export function socketPeer(fd: number): SocketPeer | undefined {
  const { address, u32 } = memory().block
  const length = 16
  u32[length] = abi["sizeof.ucred"]
  if (libc.getsockopt(fd, abi.SOL_SOCKET, abi.SO_PEERCRED, address, address + length * 4) !== 0)
    return undefined
  return { pid: u32[abi["ucred.pid"] / 4]! | 0, uid: u32[abi["ucred.uid"] / 4]! }
}

/** Sends one byte and the files with it. Returns 0, or the errno: nothing was sent then. */
export function sendFiles(fd: number, mark: number, files: readonly number[]): number {
  const { block, header, control } = memory()
  block.u8[0] = mark
  control.u8.fill(0)
  const used = cmsgBytes + files.length * 4
  control.u32[abi["cmsghdr.cmsg_len"] / 4] = used
  control.u32[abi["cmsghdr.cmsg_level"] / 4] = abi.SOL_SOCKET
  control.u32[abi["cmsghdr.cmsg_type"] / 4] = abi.SCM_RIGHTS
  files.forEach((file, i) => {
    control.u32[cmsgBytes / 4 + i] = file
  })
  prepareHeader(files.length === 0 ? 0 : Math.ceil(used / 8) * 8)
  const sent = libc.sendmsg(fd, header.address, abi.MSG_NOSIGNAL | abi.MSG_DONTWAIT)
  return sent === 1 ? 0 : sent < 0 ? errno() : abi.EPIPE
}

/**
 * Receives one byte and at most `expected` files that came with it; any more are closed at once.
 * @throws KvError KV_OS when the socket is broken.
 */
export function receiveFiles(fd: number, expected: number): ReceivedFiles {
  const { block, header, control } = memory()
  control.u8.fill(0)
  prepareHeader(controlBytes)
  const received = libc.recvmsg(fd, header.address, abi.MSG_DONTWAIT | abi.MSG_CMSG_CLOEXEC)
  if (received < 0) {
    const code = errno()
    if (code === abi.EAGAIN || code === abi.EINTR) return { mark: undefined, files: [], dropped: false }
    throw osError(
      "recvmsg",
      code,
      { what: "files from another process could not be received" },
      "KV_PEER_LOST",
    )
  }
  const all = filesIn(control, header.u32[abi["msghdr.msg_controllen"] / 4]!)
  for (const file of all.splice(expected)) libc.close(file)
  const dropped = (header.u32[abi["msghdr.msg_flags"] / 4]! & abi.MSG_CTRUNC) !== 0
  return { mark: received === 1 ? block.u8[0] : undefined, files: all, dropped }
}

/** Sends a few bytes at once; true when all of them went. For the first words on a fresh socket. */
export function sendBytes(fd: number, bytes: Uint8Array): boolean {
  const { address, u8 } = memory().block
  u8.set(bytes)
  return libc.write(fd, address, bytes.byteLength) === bytes.byteLength
}

/** Closes a descriptor that no library of ours owns. */
export function closeFile(fd: number): void {
  libc.close(fd)
}

function openSocket(): number {
  const fd = libc.socket(abi.AF_UNIX, socketFlags, 0)
  if (fd < 0) throw osError("socket", errno(), { what: "no local socket could be made" })
  return fd
}

/** Writes an abstract name: a zero byte, then the name, and no zero after it. Returns the address's length. */
function writeAddress(name: string): number {
  const { u8, data } = memory().block
  u8.fill(0)
  data.setUint16(abi["sockaddr_un.sun_family"], abi.AF_UNIX, true)
  const start = abi["sockaddr_un.sun_path"] + 1
  for (let i = 0; i < name.length; i++) u8[start + i] = name.charCodeAt(i)
  return start + name.length
}

function prepareHeader(controlLength: number): void {
  const { header, iovec, block, control } = memory()
  header.u8.fill(0)
  putAddress(iovec, abi["iovec.iov_base"], block.address)
  iovec.u32[abi["iovec.iov_len"] / 4] = 1
  putAddress(header, abi["msghdr.msg_iov"], iovec.address)
  header.u32[abi["msghdr.msg_iovlen"] / 4] = 1
  if (controlLength === 0) return
  putAddress(header, abi["msghdr.msg_control"], control.address)
  header.u32[abi["msghdr.msg_controllen"] / 4] = controlLength
}

function putAddress(into: ControlBlock, at: number, address: number): void {
  into.u32[at / 4] = address % 2 ** 32
  into.u32[at / 4 + 1] = Math.floor(address / 2 ** 32)
}

/** The descriptors in the first control message. We ask for no other kind, so there is no second one. */
function filesIn(control: ControlBlock, controlLength: number): number[] {
  if (controlLength < cmsgBytes) return []
  const { u32 } = control
  const length = u32[abi["cmsghdr.cmsg_len"] / 4]!
  const isFiles =
    u32[abi["cmsghdr.cmsg_level"] / 4] === abi.SOL_SOCKET &&
    u32[abi["cmsghdr.cmsg_type"] / 4] === abi.SCM_RIGHTS
  if (!isFiles || length < cmsgBytes || length > controlBytes) return []
  return Array.from({ length: Math.floor((length - cmsgBytes) / 4) }, (_, i) => u32[cmsgBytes / 4 + i]!)
}

/** One set per thread, for as long as the thread lives: every call fills it anew. */
function memory(): Scratch {
  if (scratch !== undefined) return scratch
  const arena = new ControlMemory(4096)
  scratch = {
    block: arena.take(256),
    header: arena.take(abi["sizeof.msghdr"]),
    iovec: arena.take(abi["sizeof.iovec"]),
    control: arena.take(Math.ceil(controlBytes / 8) * 8),
  }
  return scratch
}

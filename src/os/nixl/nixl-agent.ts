import koffi from "koffi"
import { KvError } from "../../errors/kv-error.ts"
import { type ControlBlock, ControlMemory } from "../control-memory.ts"
import { nixlAbi as abi } from "../ffi/nixl.ts"
import type { NixlLibrary } from "./nixl-library.ts"

/** A run of memory as NIXL names it. `device` is 0 for host memory by NIXL's habit; we number registrations with it. */
export interface NixlSpan {
  readonly address: number
  readonly byteLength: number
  readonly device: number
}

/** A plugin of NIXL, and its parameters. */
export interface NixlBackend {
  readonly name: string
  readonly parameters?: Readonly<Record<string, string>>
}

/** How a transfer request stands. */
export type RequestState = "done" | "under way" | "failed"

/** One agent of NIXL: its backends, what is registered with it, and what it knows of other agents. */
export class NixlAgent {
  readonly name: string
  readonly #library: NixlLibrary
  readonly #agent: number
  readonly #notices: number
  #places: ControlBlock | undefined

  /**
   * Makes an agent without threads of its own, and its backends. It takes some 0.1 to 1 s the first time.
   * @throws KvError KV_TRANSPORT_UNAVAILABLE naming what NIXL answered, and the plugins that it has.
   */
  constructor(library: NixlLibrary, name: string, backends: readonly NixlBackend[]) {
    this.#library = library
    this.name = name
    const { call } = library
    // Zeroes: no progress thread, no listener, no telemetry, and no locks: one thread uses this agent.
    const config = library.scratch(abi["sizeof.nixl_capi_agent_config_t"])
    this.#agent = library.handle("create_configured_agent", (result) =>
      call.nixl_capi_create_configured_agent(name, config.address, result),
    )
    this.#notices = library.handle("create_notif_map", (result) => call.nixl_capi_create_notif_map(result))
    try {
      for (const backend of backends) this.#addBackend(backend)
    } catch (thrown) {
      this.destroy()
      throw thrown
    }
  }

  /** @throws KvError KV_OS when the backend cannot register it. */
  register(span: NixlSpan): void {
    const { call } = this.#library
    const status = this.#withRegion(span, (list) => call.nixl_capi_register_mem(this.#agent, list, 0))
    if (status === abi.NIXL_CAPI_SUCCESS) return
    throw new KvError("KV_OS", {
      what: `NIXL did not register ${span.byteLength} bytes`,
      why: `it answered ${status}; its log says more, with NIXL_LOG_LEVEL=INFO in the environment`,
      next: "check the limit of locked memory (ulimit -l), if a NIC is to reach this memory",
    })
  }

  deregister(span: NixlSpan): void {
    const { call } = this.#library
    this.#withRegion(span, (list) => call.nixl_capi_deregister_mem(this.#agent, list, 0))
  }

  /** What another agent needs to reach this one; with `spans`, only what it needs to reach those. */
  metadata(spans: readonly NixlSpan[]): Buffer {
    const { call } = this.#library
    const list = this.#regionList(spans)
    try {
      const [data, length] = [this.#library.result(1), this.#library.result(2)]
      const status = call.nixl_capi_get_local_partial_md(this.#agent, list, data, length, 0)
      this.#library.expect("get_local_partial_md", status)
    } finally {
      call.nixl_capi_destroy_reg_dlist(list)
    }
    const address = this.#library.resultAt(1)
    const bytes = Buffer.from(new Uint8Array(koffi.view(address, this.#library.resultAt(2))))
    this.#library.free(address)
    return bytes
  }

  /** Takes what another agent gave. Bytes of a stranger do not belong here: NIXL's reader trusts them. */
  loadMetadata(metadata: Uint8Array): void {
    const block = this.#library.scratch(metadata.byteLength)
    block.u8.set(metadata)
    const name = this.#library.handle("load_remote_md", (result) =>
      this.#library.call.nixl_capi_load_remote_md(this.#agent, block.address, metadata.byteLength, result),
    )
    this.#library.free(name)
  }

  /** Ends what is connected to another agent, and forgets it. Lists of its memory must be released before. */
  forget(remote: string): void {
    this.#library.call.nixl_capi_invalidate_remote_md(this.#agent, remote)
  }

  /**
   * Describes runs of memory, ours or those of a remote agent, for requests that name them by their place in the list.
   * @param remote the other agent's name; empty for this side.
   * @throws KvError KV_TRANSPORT_UNAVAILABLE when one lies in nothing that is registered, or known of that agent.
   */
  describe(
    remote: string,
    count: number,
    address: Float64Array,
    length: Float64Array,
    device: Float64Array,
  ): number {
    const { call } = this.#library
    const list = this.#library.handle("create_xfer_dlist", (result) =>
      call.nixl_capi_create_xfer_dlist(abi.NIXL_CAPI_MEM_DRAM, result),
    )
    try {
      const add = call.nixl_capi_xfer_dlist_add_desc
      for (let i = 0; i < count; i++) add(list, address[i]!, length[i]!, device[i]!)
      return this.#library.handle("prep_xfer_dlist", (result) =>
        call.nixl_capi_prep_xfer_dlist(this.#agent, remote, list, result, 0),
      )
    } finally {
      call.nixl_capi_destroy_xfer_dlist(list)
    }
  }

  releaseList(list: number): void {
    this.#library.call.nixl_capi_release_xfer_dlist_handle(this.#agent, list)
  }

  /** Makes a request of entries `first` to `first + count` of two lists, which belong together place by place. */
  request(direction: "read" | "write", local: number, remote: number, first: number, count: number): number {
    const places = this.#placesFor(first + count) + first * 4
    const operation = direction === "read" ? abi.NIXL_CAPI_XFER_OP_READ : abi.NIXL_CAPI_XFER_OP_WRITE
    return this.#library.handle("make_xfer_req", (result) =>
      this.#library.call.nixl_capi_make_xfer_req(
        this.#agent,
        operation,
        local,
        places,
        count,
        remote,
        places,
        count,
        result,
        0,
      ),
    )
  }

  /** Starts a request. Where a processor copies, it returns when all bytes are there. */
  post(request: number): RequestState {
    return stateOf(this.#library.call.nixl_capi_post_xfer_req(this.#agent, request, 0))
  }

  /** How a request stands; asking drives it on. */
  state(request: number): RequestState {
    return stateOf(this.#library.call.nixl_capi_get_xfer_status(this.#agent, request))
  }

  /** Gives a request back. One that is under way may still touch memory until this agent is destroyed. */
  releaseRequest(request: number): void {
    this.#library.call.nixl_capi_release_xfer_req(this.#agent, request)
    this.#library.call.nixl_capi_destroy_xfer_req(request)
  }

  /** Drives on what other agents do with this one's memory, where their fabric needs a processor of ours. */
  progress(): void {
    this.#library.call.nixl_capi_get_notifs(this.#agent, this.#notices, 0)
    // Nobody sends us notices; one who does all the same shall not fill our memory.
    this.#library.call.nixl_capi_notif_map_clear(this.#notices)
  }

  /** Ends the agent with all its connections. After this nothing of it touches memory that a NIC or thread of ours moves. */
  destroy(): void {
    this.#library.call.nixl_capi_destroy_agent(this.#agent)
    this.#library.call.nixl_capi_destroy_notif_map(this.#notices)
  }

  #addBackend({ name, parameters = {} }: NixlBackend): void {
    const { call } = this.#library
    const params = this.#library.handle("create_params", (result) => call.nixl_capi_create_params(result))
    try {
      for (const [key, value] of Object.entries(parameters)) {
        this.#library.expect("params_add", call.nixl_capi_params_add(params, key, value))
      }
      const status = call.nixl_capi_create_backend(this.#agent, name, params, this.#library.result(0))
      if (status !== abi.NIXL_CAPI_SUCCESS) throw this.#noBackend(name)
      call.nixl_capi_destroy_backend(this.#library.resultAt(0))
    } finally {
      call.nixl_capi_destroy_params(params)
    }
  }

  #noBackend(name: string): KvError {
    return new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `NIXL's backend ${name} cannot be opened`,
      why: `${this.#library.file} has the plugins ${this.#plugins().join(", ") || "of none"}; one that is there may lack a library or a device, which NIXL's log says with NIXL_LOG_LEVEL=INFO`,
      next: "name another backend, or install what this one needs",
    })
  }

  #plugins(): string[] {
    const { call } = this.#library
    const list = this.#library.handle("get_available_plugins", (result) =>
      call.nixl_capi_get_available_plugins(this.#agent, result),
    )
    try {
      call.nixl_capi_string_list_size(list, this.#library.result(1))
      return Array.from({ length: this.#library.resultAt(1) }, (_, i) => {
        call.nixl_capi_string_list_get(list, i, this.#library.result(2))
        return String(koffi.decode(this.#library.resultAt(2), "char", -1))
      })
    } finally {
      call.nixl_capi_destroy_string_list(list)
    }
  }

  #regionList(spans: readonly NixlSpan[]): number {
    const { call } = this.#library
    const list = this.#library.handle("create_reg_dlist", (result) =>
      call.nixl_capi_create_reg_dlist(abi.NIXL_CAPI_MEM_DRAM, result),
    )
    for (const { address, byteLength, device } of spans) {
      call.nixl_capi_reg_dlist_add_desc(list, address, byteLength, device, 0, 0)
    }
    return list
  }

  #withRegion(span: NixlSpan, action: (list: number) => number): number {
    const list = this.#regionList([span])
    try {
      return action(list)
    } finally {
      this.#library.call.nixl_capi_destroy_reg_dlist(list)
    }
  }

  /** The address of the numbers 0, 1, 2, … as C's `int`: both lists of a request are used in their order. */
  #placesFor(count: number): number {
    if (this.#places === undefined || count > this.#places.u32.length) {
      const bytes = 2 ** Math.ceil(Math.log2(Math.max(count, 4096) * 4))
      this.#places = new ControlMemory(bytes).take(bytes)
      for (let i = 0; i < this.#places.u32.length; i++) this.#places.u32[i] = i
    }
    return this.#places.address
  }
}

function stateOf(status: number): RequestState {
  if (status === abi.NIXL_CAPI_SUCCESS) return "done"
  return status === abi.NIXL_CAPI_IN_PROG ? "under way" : "failed"
}

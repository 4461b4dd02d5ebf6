import { type BoundLibrary, bindLibrary, type SymbolTable } from "./symbols.ts"

/** libibverbs, as far as we call it. What is inline in its header is called through a context's table (`verbs-calls.ts`). */
const table = {
  // struct ibv_device **ibv_get_device_list(int *num_devices)
  ibv_get_device_list: { result: "ptr", parameters: ["ptr"] },
  // void ibv_free_device_list(struct ibv_device **list)
  ibv_free_device_list: { result: "void", parameters: ["ptr"] },
  // const char *ibv_get_device_name(struct ibv_device *device)
  ibv_get_device_name: { result: "cstring", parameters: ["ptr"] },
  // struct ibv_context *ibv_open_device(struct ibv_device *device)
  ibv_open_device: { result: "ptr", parameters: ["ptr"] },
  // int ibv_close_device(struct ibv_context *context)
  ibv_close_device: { result: "i32", parameters: ["ptr"] },
  // int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *device_attr)
  ibv_query_device: { result: "i32", parameters: ["ptr", "ptr"] },
  // int ibv_query_port(struct ibv_context *context, uint8_t port_num, struct _compat_ibv_port_attr *port_attr)
  ibv_query_port: { result: "i32", parameters: ["ptr", "u8", "ptr"] },
  // struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
  ibv_alloc_pd: { result: "ptr", parameters: ["ptr"] },
  // int ibv_dealloc_pd(struct ibv_pd *pd)
  ibv_dealloc_pd: { result: "i32", parameters: ["ptr"] },
  // struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
  ibv_create_comp_channel: { result: "ptr", parameters: ["ptr"] },
  // int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
  ibv_destroy_comp_channel: { result: "i32", parameters: ["ptr"] },
  // struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *cq_context,
  //                              struct ibv_comp_channel *channel, int comp_vector)
  ibv_create_cq: { result: "ptr", parameters: ["ptr", "i32", "ptr", "ptr", "i32"] },
  // int ibv_destroy_cq(struct ibv_cq *cq)
  ibv_destroy_cq: { result: "i32", parameters: ["ptr"] },
  // int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **cq_context)
  ibv_get_cq_event: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int nevents)
  ibv_ack_cq_events: { result: "void", parameters: ["ptr", "u32"] },
  // int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *event)
  ibv_get_async_event: { result: "i32", parameters: ["ptr", "ptr"] },
  // void ibv_ack_async_event(struct ibv_async_event *event)
  ibv_ack_async_event: { result: "void", parameters: ["ptr"] },
  // struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
  ibv_reg_mr: { result: "ptr", parameters: ["ptr", "ptr", "usize", "i32"] },
  // int ibv_dereg_mr(struct ibv_mr *mr)
  ibv_dereg_mr: { result: "i32", parameters: ["ptr"] },
  // struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *qp_init_attr)
  ibv_create_qp: { result: "ptr", parameters: ["ptr", "ptr"] },
  // int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int attr_mask)
  ibv_modify_qp: { result: "i32", parameters: ["ptr", "ptr", "i32"] },
  // int ibv_destroy_qp(struct ibv_qp *qp)
  ibv_destroy_qp: { result: "i32", parameters: ["ptr"] },
} as const satisfies SymbolTable

/** What older libraries do not have. */
const optionalTable = {
  // Since rdma-core 28 (IBVERBS_1.8). Without it there is no relaxed ordering, and a region starts at its address.
  // struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova, unsigned int access)
  ibv_reg_mr_iova2: { result: "ptr", parameters: ["ptr", "ptr", "usize", "u64", "u32"] },
  // Since rdma-core 34 (IBVERBS_1.12).
  // struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova, int fd, int access)
  ibv_reg_dmabuf_mr: { result: "ptr", parameters: ["ptr", "u64", "usize", "u64", "i32", "i32"] },
} as const satisfies SymbolTable

/** The names that libibverbs goes by. */
export const ibverbsFiles: readonly string[] = ["libibverbs.so.1", "libibverbs.so"]

/** The opened library. */
export type Ibverbs = BoundLibrary<typeof table, typeof optionalTable>

let opened: Ibverbs | undefined

/**
 * Opens the machine's libibverbs, once per thread.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE naming the files that were tried.
 */
export function openIbverbs(): Ibverbs {
  opened ??= bindLibrary(ibverbsFiles, table, optionalTable)
  return opened
}

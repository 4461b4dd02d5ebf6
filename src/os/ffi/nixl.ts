import type { SymbolTable } from "./symbols.ts"

/**
 * NIXL's C interface, as far as we call it: `libnixl_capi.so`, which the Python wheels carry since 1.5.
 *
 * Every function but one returns a status, and hands results back through a pointer.
 * @see src/bindings/rust/wrapper.h in NIXL's sources
 */
export const nixlSymbols = {
  // bool nixl_capi_is_stub()
  nixl_capi_is_stub: { result: "u32", parameters: [] },
  // create_configured_agent(const char *name, const nixl_capi_agent_config_t *cfg, nixl_capi_agent_t *agent)
  nixl_capi_create_configured_agent: { result: "i32", parameters: ["cstring", "ptr", "ptr"] },
  // destroy_agent(nixl_capi_agent_t agent)
  nixl_capi_destroy_agent: { result: "i32", parameters: ["ptr"] },
  // create_params(nixl_capi_params_t *params)
  nixl_capi_create_params: { result: "i32", parameters: ["ptr"] },
  // params_add(nixl_capi_params_t params, const char *key, const char *value)
  nixl_capi_params_add: { result: "i32", parameters: ["ptr", "cstring", "cstring"] },
  // destroy_params(nixl_capi_params_t params)
  nixl_capi_destroy_params: { result: "i32", parameters: ["ptr"] },
  // create_backend(nixl_capi_agent_t agent, const char *plugin_name, nixl_capi_params_t params, nixl_capi_backend_t *backend)
  nixl_capi_create_backend: { result: "i32", parameters: ["ptr", "cstring", "ptr", "ptr"] },
  // destroy_backend(nixl_capi_backend_t backend): the handle alone, the agent owns the backend
  nixl_capi_destroy_backend: { result: "i32", parameters: ["ptr"] },
  // get_available_plugins(nixl_capi_agent_t agent, nixl_capi_string_list_t *plugins)
  nixl_capi_get_available_plugins: { result: "i32", parameters: ["ptr", "ptr"] },
  // string_list_size(nixl_capi_string_list_t list, size_t *size)
  nixl_capi_string_list_size: { result: "i32", parameters: ["ptr", "ptr"] },
  // string_list_get(nixl_capi_string_list_t list, size_t index, const char **str)
  nixl_capi_string_list_get: { result: "i32", parameters: ["ptr", "usize", "ptr"] },
  // destroy_string_list(nixl_capi_string_list_t list)
  nixl_capi_destroy_string_list: { result: "i32", parameters: ["ptr"] },
  // create_reg_dlist(nixl_capi_mem_type_t mem_type, nixl_capi_reg_dlist_t *dlist)
  nixl_capi_create_reg_dlist: { result: "i32", parameters: ["i32", "ptr"] },
  // reg_dlist_add_desc(dlist, uintptr_t addr, size_t len, uint64_t dev_id, const void *metadata, size_t metadata_len)
  nixl_capi_reg_dlist_add_desc: {
    result: "i32",
    parameters: ["ptr", "ptr", "usize", "usize", "ptr", "usize"],
  },
  // destroy_reg_dlist(nixl_capi_reg_dlist_t dlist)
  nixl_capi_destroy_reg_dlist: { result: "i32", parameters: ["ptr"] },
  // register_mem(nixl_capi_agent_t agent, nixl_capi_reg_dlist_t dlist, nixl_capi_opt_args_t opt_args)
  nixl_capi_register_mem: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // deregister_mem(the same)
  nixl_capi_deregister_mem: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // get_local_partial_md(agent, nixl_capi_reg_dlist_t descs, void **data, size_t *len, opt_args): data is malloc'd
  nixl_capi_get_local_partial_md: { result: "i32", parameters: ["ptr", "ptr", "ptr", "ptr", "ptr"] },
  // load_remote_md(agent, const void *data, size_t len, char **agent_name): the name is malloc'd
  nixl_capi_load_remote_md: { result: "i32", parameters: ["ptr", "ptr", "usize", "ptr"] },
  // invalidate_remote_md(nixl_capi_agent_t agent, const char *remote_agent)
  nixl_capi_invalidate_remote_md: { result: "i32", parameters: ["ptr", "cstring"] },
  // create_xfer_dlist(nixl_capi_mem_type_t mem_type, nixl_capi_xfer_dlist_t *dlist)
  nixl_capi_create_xfer_dlist: { result: "i32", parameters: ["i32", "ptr"] },
  // xfer_dlist_add_desc(nixl_capi_xfer_dlist_t dlist, uintptr_t addr, size_t len, uint64_t dev_id)
  nixl_capi_xfer_dlist_add_desc: { result: "i32", parameters: ["ptr", "ptr", "usize", "usize"] },
  // destroy_xfer_dlist(nixl_capi_xfer_dlist_t dlist)
  nixl_capi_destroy_xfer_dlist: { result: "i32", parameters: ["ptr"] },
  // prep_xfer_dlist(agent, const char *agent_name, nixl_capi_xfer_dlist_t descs, nixl_capi_xfer_dlist_handle_t *, opt_args)
  nixl_capi_prep_xfer_dlist: { result: "i32", parameters: ["ptr", "cstring", "ptr", "ptr", "ptr"] },
  // release_xfer_dlist_handle(nixl_capi_agent_t agent, nixl_capi_xfer_dlist_handle_t dlist_handle)
  nixl_capi_release_xfer_dlist_handle: { result: "i32", parameters: ["ptr", "ptr"] },
  // make_xfer_req(agent, operation, local_descs, const int *local_indices, size_t count,
  //               remote_descs, const int *remote_indices, size_t count, nixl_capi_xfer_req_t *req_hndl, opt_args)
  nixl_capi_make_xfer_req: {
    result: "i32",
    parameters: ["ptr", "i32", "ptr", "ptr", "usize", "ptr", "ptr", "usize", "ptr", "ptr"],
  },
  // post_xfer_req(nixl_capi_agent_t agent, nixl_capi_xfer_req_t req_hndl, nixl_capi_opt_args_t opt_args)
  nixl_capi_post_xfer_req: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // get_xfer_status(nixl_capi_agent_t agent, nixl_capi_xfer_req_t req_hndl)
  nixl_capi_get_xfer_status: { result: "i32", parameters: ["ptr", "ptr"] },
  // release_xfer_req(nixl_capi_agent_t agent, nixl_capi_xfer_req_t req)
  nixl_capi_release_xfer_req: { result: "i32", parameters: ["ptr", "ptr"] },
  // destroy_xfer_req(nixl_capi_xfer_req_t req): what is left of it after its release
  nixl_capi_destroy_xfer_req: { result: "i32", parameters: ["ptr"] },
  // create_notif_map(nixl_capi_notif_map_t *notif_map)
  nixl_capi_create_notif_map: { result: "i32", parameters: ["ptr"] },
  // get_notifs(nixl_capi_agent_t agent, nixl_capi_notif_map_t notif_map, nixl_capi_opt_args_t opt_args)
  nixl_capi_get_notifs: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // notif_map_clear(nixl_capi_notif_map_t map)
  nixl_capi_notif_map_clear: { result: "i32", parameters: ["ptr"] },
  // destroy_notif_map(nixl_capi_notif_map_t notif_map)
  nixl_capi_destroy_notif_map: { result: "i32", parameters: ["ptr"] },
} as const satisfies SymbolTable

/** Of the process itself, whichever allocator runs in it: the C interface hands out memory of `malloc`. */
export const processSymbols = {
  // void free(void *ptr); what it does not return is not looked at
  free: { result: "ptr", parameters: ["ptr"] },
  // int on_exit(void (*function)(int, void *), void *arg)
  on_exit: { result: "i32", parameters: ["ptr", "ptr"] },
  // void *dlsym(void *handle, const char *symbol)
  dlsym: { result: "ptr", parameters: ["ptr", "cstring"] },
  // void _exit(int status)
  _exit: { result: "i32", parameters: ["i32"] },
} as const satisfies SymbolTable

/** What `wrapper.h` states (`tools/abi/nixl-abi.c` prints it) of `nixl_capi_agent_config_t` and of the enumerations, on a 64-bit system. */
export const nixlAbi = {
  "sizeof.nixl_capi_agent_config_t": 40,
  "nixl_capi_agent_config_t.enable_prog_thread": 0,
  "nixl_capi_agent_config_t.enable_listen_thread": 1,
  "nixl_capi_agent_config_t.listen_port": 4,
  "nixl_capi_agent_config_t.thread_sync": 8,
  "nixl_capi_agent_config_t.num_workers": 12,
  "nixl_capi_agent_config_t.pthr_delay_us": 16,
  "nixl_capi_agent_config_t.lthr_delay_us": 24,
  "nixl_capi_agent_config_t.capture_telemetry": 32,
  NIXL_CAPI_MEM_DRAM: 0,
  NIXL_CAPI_THREAD_SYNC_NONE: 0,
  NIXL_CAPI_XFER_OP_READ: 0,
  NIXL_CAPI_XFER_OP_WRITE: 1,
  NIXL_CAPI_SUCCESS: 0,
  NIXL_CAPI_IN_PROG: 1,
  NIXL_CAPI_ERROR_INVALID_PARAM: -1,
  NIXL_CAPI_ERROR_BACKEND: -2,
  NIXL_CAPI_ERROR_INVALID_STATE: -3,
  NIXL_CAPI_ERROR_EXCEPTION: -4,
  NIXL_CAPI_ERROR_NO_TELEMETRY: -5,
  NIXL_CAPI_ERROR_NOT_FOUND: -6,
} as const

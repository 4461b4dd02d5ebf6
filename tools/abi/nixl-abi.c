/* Prints what src/os/ffi/nixl.ts states of NIXL's C interface, as JSON, from NIXL's own header.
 * cc -I NIXL/src/bindings/rust -o /tmp/nixl-abi tools/abi/nixl-abi.c && /tmp/nixl-abi
 * The header is not ours: name a checkout of https://github.com/ai-dynamo/nixl. */
#include <stdio.h>
#include <wrapper.h>

#define SIZE(type) printf("  \"sizeof.%s\": %zu,\n", #type, sizeof(type))
#define FIELD(type, field) printf("  \"%s.%s\": %zu,\n", #type, #field, offsetof(type, field))
#define VALUE(name) printf("  \"%s\": %d,\n", #name, (int)(name))

int main(void) {
  printf("{\n");
  SIZE(nixl_capi_agent_config_t);
  FIELD(nixl_capi_agent_config_t, enable_prog_thread);
  FIELD(nixl_capi_agent_config_t, enable_listen_thread);
  FIELD(nixl_capi_agent_config_t, listen_port);
  FIELD(nixl_capi_agent_config_t, thread_sync);
  FIELD(nixl_capi_agent_config_t, num_workers);
  FIELD(nixl_capi_agent_config_t, pthr_delay_us);
  FIELD(nixl_capi_agent_config_t, lthr_delay_us);
  FIELD(nixl_capi_agent_config_t, capture_telemetry);
  VALUE(NIXL_CAPI_MEM_DRAM);
  VALUE(NIXL_CAPI_THREAD_SYNC_NONE);
  VALUE(NIXL_CAPI_XFER_OP_READ);
  VALUE(NIXL_CAPI_XFER_OP_WRITE);
  VALUE(NIXL_CAPI_SUCCESS);
  VALUE(NIXL_CAPI_IN_PROG);
  VALUE(NIXL_CAPI_ERROR_INVALID_PARAM);
  VALUE(NIXL_CAPI_ERROR_BACKEND);
  VALUE(NIXL_CAPI_ERROR_INVALID_STATE);
  VALUE(NIXL_CAPI_ERROR_EXCEPTION);
  VALUE(NIXL_CAPI_ERROR_NO_TELEMETRY);
  VALUE(NIXL_CAPI_ERROR_NOT_FOUND);
  printf("  \"end\": 0\n}\n");
  return 0;
}

import { bindLibrary, type SymbolTable } from "./symbols.ts"

/** What libfabric exports, as far as we call it. All else is reached through tables of operations. */
const table = {
  // uint32_t fi_version(void)
  fi_version: { result: "u32", parameters: [] },
  // int fi_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags, const struct fi_info *hints,
  //                struct fi_info **info)
  fi_getinfo: { result: "i32", parameters: ["u32", "ptr", "ptr", "u64", "ptr", "ptr"] },
  // struct fi_info *fi_dupinfo(const struct fi_info *info)
  fi_dupinfo: { result: "ptr", parameters: ["ptr"] },
  // void fi_freeinfo(struct fi_info *info)
  fi_freeinfo: { result: "void", parameters: ["ptr"] },
  // int fi_fabric(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context)
  fi_fabric: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // const char *fi_strerror(int errnum)
  fi_strerror: { result: "cstring", parameters: ["i32"] },
} as const satisfies SymbolTable

/** The slots of libfabric's tables of operations that we call, by the names of the inline functions over them. */
export const libfabricOperations = {
  // int fi_close(struct fid *fid)
  fi_close: { result: "i32", parameters: ["ptr"] },
  // int fi_ep_bind(struct fid_ep *ep, struct fid *bfid, uint64_t flags)
  fi_bind: { result: "i32", parameters: ["ptr", "ptr", "u64"] },
  // int fi_control(struct fid *fid, int command, void *arg)
  fi_control: { result: "i32", parameters: ["ptr", "i32", "ptr"] },
  // int fi_domain(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **domain, void *context)
  // int fi_av_open(struct fid_domain *domain, struct fi_av_attr *attr, struct fid_av **av, void *context)
  // int fi_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr, struct fid_cq **cq, void *context)
  // int fi_endpoint(struct fid_domain *domain, struct fi_info *info, struct fid_ep **ep, void *context)
  fi_open: { result: "i32", parameters: ["ptr", "ptr", "ptr", "ptr"] },
  // int fi_trywait(struct fid_fabric *fabric, struct fid **fids, int count)
  fi_trywait: { result: "i32", parameters: ["ptr", "ptr", "i32"] },
  // int fi_mr_reg(struct fid *domain, const void *buf, size_t len, uint64_t access, uint64_t offset,
  //               uint64_t requested_key, uint64_t flags, struct fid_mr **mr, void *context)
  fi_mr_reg: {
    result: "i32",
    parameters: ["ptr", "ptr", "usize", "u64", "u64", "u64", "u64", "ptr", "ptr"],
  },
  // int fi_getname(fid_t fid, void *addr, size_t *addrlen)
  fi_getname: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // int fi_av_insert(struct fid_av *av, const void *addr, size_t count, fi_addr_t *fi_addr, uint64_t flags, void *context)
  fi_av_insert: { result: "i32", parameters: ["ptr", "ptr", "usize", "ptr", "u64", "ptr"] },
  // ssize_t fi_read(struct fid_ep *ep, void *buf, size_t len, void *desc, fi_addr_t src_addr, uint64_t addr,
  //                 uint64_t key, void *context), and fi_write with the same
  fi_rma: { result: "isize", parameters: ["ptr", "ptr", "usize", "ptr", "u64", "u64", "u64", "ptr"] },
  // ssize_t fi_writemsg(struct fid_ep *ep, const struct fi_msg_rma *msg, uint64_t flags)
  fi_writemsg: { result: "isize", parameters: ["ptr", "ptr", "u64"] },
  // ssize_t fi_cq_read(struct fid_cq *cq, void *buf, size_t count)
  fi_cq_read: { result: "isize", parameters: ["ptr", "ptr", "usize"] },
  // ssize_t fi_cq_readerr(struct fid_cq *cq, struct fi_cq_err_entry *buf, uint64_t flags)
  fi_cq_readerr: { result: "isize", parameters: ["ptr", "ptr", "u64"] },
} as const satisfies SymbolTable

/** libfabric of this machine, or the file that was named. @throws KvError KV_TRANSPORT_UNAVAILABLE. */
export const bindLibfabric = (file: string): ReturnType<typeof bindLibrary<typeof table>> =>
  bindLibrary([file], table)

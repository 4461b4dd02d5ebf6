// Prints the layouts and constants of libfabric's headers that src/os/ffi/libfabric-abi.ts states, as JSON.
// cc -o libfabric-abi tools/abi/libfabric-abi.c && ./libfabric-abi
#include <stddef.h>
#include <stdio.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#define SIZE(type) printf(",\n  \"sizeof.%s\": %zu", #type, sizeof(struct type))
#define FIELD(type, field) printf(",\n  \"%s.%s\": %zu", #type, #field, offsetof(struct type, field))
#define CONSTANT(name) printf(",\n  \"%s\": %llu", #name, (unsigned long long)(name))

int main(void) {
  printf("{\n  \"sizeof.pointer\": %zu", sizeof(void *));
  FIELD(fi_info, next);
  FIELD(fi_info, caps);
  FIELD(fi_info, mode);
  FIELD(fi_info, addr_format);
  FIELD(fi_info, src_addrlen);
  FIELD(fi_info, src_addr);
  FIELD(fi_info, tx_attr);
  FIELD(fi_info, rx_attr);
  FIELD(fi_info, ep_attr);
  FIELD(fi_info, domain_attr);
  FIELD(fi_info, fabric_attr);
  FIELD(fi_tx_attr, op_flags);
  FIELD(fi_tx_attr, size);
  FIELD(fi_ep_attr, type);
  FIELD(fi_ep_attr, max_msg_size);
  FIELD(fi_domain_attr, name);
  FIELD(fi_domain_attr, threading);
  FIELD(fi_domain_attr, control_progress);
  FIELD(fi_domain_attr, data_progress);
  FIELD(fi_domain_attr, mr_mode);
  FIELD(fi_domain_attr, mr_key_size);
  FIELD(fi_fabric_attr, name);
  FIELD(fi_fabric_attr, prov_name);
  FIELD(fi_fabric_attr, prov_version);
  FIELD(fid, fclass);
  FIELD(fid, ops);
  FIELD(fi_ops, close);
  FIELD(fi_ops, bind);
  FIELD(fi_ops, control);
  FIELD(fid_fabric, ops);
  FIELD(fi_ops_fabric, domain);
  FIELD(fi_ops_fabric, trywait);
  FIELD(fid_domain, ops);
  FIELD(fid_domain, mr);
  FIELD(fi_ops_domain, av_open);
  FIELD(fi_ops_domain, cq_open);
  FIELD(fi_ops_domain, endpoint);
  FIELD(fi_ops_mr, reg);
  FIELD(fid_ep, cm);
  FIELD(fid_ep, rma);
  FIELD(fi_ops_cm, getname);
  FIELD(fi_ops_rma, read);
  FIELD(fi_ops_rma, write);
  FIELD(fi_ops_rma, writemsg);
  FIELD(fid_mr, mem_desc);
  FIELD(fid_mr, key);
  FIELD(fid_cq, ops);
  FIELD(fi_ops_cq, read);
  FIELD(fi_ops_cq, readerr);
  FIELD(fid_av, ops);
  FIELD(fi_ops_av, insert);
  FIELD(fi_av_attr, type);
  FIELD(fi_av_attr, count);
  FIELD(fi_cq_attr, size);
  FIELD(fi_cq_attr, format);
  FIELD(fi_cq_attr, wait_obj);
  SIZE(fi_cq_entry);
  SIZE(fi_context2);
  FIELD(fi_cq_err_entry, op_context);
  FIELD(fi_cq_err_entry, err);
  FIELD(fi_cq_err_entry, prov_errno);
  SIZE(fi_rma_iov);
  FIELD(fi_rma_iov, addr);
  FIELD(fi_rma_iov, len);
  FIELD(fi_rma_iov, key);
  SIZE(fi_msg_rma);
  FIELD(fi_msg_rma, msg_iov);
  FIELD(fi_msg_rma, desc);
  FIELD(fi_msg_rma, iov_count);
  FIELD(fi_msg_rma, addr);
  FIELD(fi_msg_rma, rma_iov);
  FIELD(fi_msg_rma, rma_iov_count);
  FIELD(fi_msg_rma, context);
  FIELD(fi_msg_rma, data);
  CONSTANT(FI_MSG);
  CONSTANT(FI_RMA);
  CONSTANT(FI_READ);
  CONSTANT(FI_WRITE);
  CONSTANT(FI_RECV);
  CONSTANT(FI_TRANSMIT);
  CONSTANT(FI_REMOTE_READ);
  CONSTANT(FI_REMOTE_WRITE);
  CONSTANT(FI_DELIVERY_COMPLETE);
  CONSTANT(FI_HMEM);
  CONSTANT(FI_SOURCE);
  CONSTANT(FI_CONTEXT);
  CONSTANT(FI_CONTEXT2);
  CONSTANT(FI_MR_LOCAL);
  CONSTANT(FI_MR_RAW);
  CONSTANT(FI_MR_VIRT_ADDR);
  CONSTANT(FI_MR_ALLOCATED);
  CONSTANT(FI_MR_PROV_KEY);
  CONSTANT(FI_MR_MMU_NOTIFY);
  CONSTANT(FI_MR_RMA_EVENT);
  CONSTANT(FI_MR_ENDPOINT);
  CONSTANT(FI_MR_HMEM);
  CONSTANT(FI_PROGRESS_AUTO);
  CONSTANT(FI_PROGRESS_MANUAL);
  CONSTANT(FI_THREAD_SAFE);
  CONSTANT(FI_EP_RDM);
  CONSTANT(FI_AV_TABLE);
  CONSTANT(FI_CQ_FORMAT_CONTEXT);
  CONSTANT(FI_WAIT_NONE);
  CONSTANT(FI_WAIT_FD);
  CONSTANT(FI_GETWAIT);
  CONSTANT(FI_ENABLE);
  CONSTANT(FI_CLASS_FABRIC);
  CONSTANT(FI_CLASS_DOMAIN);
  CONSTANT(FI_CLASS_EP);
  CONSTANT(FI_CLASS_AV);
  CONSTANT(FI_CLASS_MR);
  CONSTANT(FI_CLASS_CQ);
  CONSTANT(FI_SOCKADDR);
  CONSTANT(FI_SOCKADDR_IN);
  CONSTANT(FI_SOCKADDR_IN6);
  CONSTANT(FI_ADDR_STR);
  CONSTANT(FI_EAGAIN);
  CONSTANT(FI_EAVAIL);
  CONSTANT(FI_ENODATA);
  CONSTANT(FI_ENOSYS);
  CONSTANT(FI_ENOMEM);
  CONSTANT(FI_ENOKEY);
  CONSTANT(FI_EACCES);
  CONSTANT(FI_EINVAL);
  CONSTANT(FI_ENOTCONN);
  CONSTANT(FI_ECONNREFUSED);
  CONSTANT(FI_ECONNRESET);
  CONSTANT(FI_ECONNABORTED);
  CONSTANT(FI_ESHUTDOWN);
  CONSTANT(FI_ETIMEDOUT);
  CONSTANT(FI_ECANCELED);
  CONSTANT(FI_EHOSTUNREACH);
  printf("\n}\n");
  return 0;
}

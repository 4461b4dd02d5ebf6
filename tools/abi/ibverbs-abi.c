/* Prints what src/os/ffi/ibverbs-abi.ts states, as JSON, from this machine's rdma-core headers (libibverbs-dev).
 * cc -o /tmp/ibverbs-abi tools/abi/ibverbs-abi.c && /tmp/ibverbs-abi
 * A test compiles and compares it where a compiler and the header are present. Nothing is linked.
 *
 * Only what holds on x86-64 and arm64, and from rdma-core 32 on (the first with the GID table), is printed. Structures that the library allocates and that hold a
 * pthread_mutex_t (ibv_context, ibv_qp, ibv_cq) differ in size between the two: their sizes are left out, and so is that of
 * ibv_port_attr, which has grown. */
#include <infiniband/verbs.h>
#include <stddef.h>
#include <stdio.h>

#define FIELD(s, m) printf("  \"%s.%s\": %zu,\n", #s, #m, offsetof(struct s, m))
#define SIZE(s) printf("  \"sizeof.%s\": %zu,\n", #s, sizeof(struct s))
#define CONSTANT(k) printf("  \"%s\": %lld,\n", #k, (long long)(k))

int main(void) {
  puts("{");
  /* ibv_post_send, ibv_post_recv, ibv_poll_cq and ibv_req_notify_cq are inline: they are called through these slots. */
  FIELD(ibv_context, device); FIELD(ibv_context, ops.poll_cq); FIELD(ibv_context, ops.req_notify_cq);
  FIELD(ibv_context, ops.post_send); FIELD(ibv_context, ops.post_recv);
  FIELD(ibv_context, cmd_fd); FIELD(ibv_context, async_fd); FIELD(ibv_context, num_comp_vectors);
  FIELD(ibv_device, node_type); FIELD(ibv_device, transport_type); FIELD(ibv_device, name);
  FIELD(ibv_device, dev_name); FIELD(ibv_device, dev_path); FIELD(ibv_device, ibdev_path);
  CONSTANT(IBV_SYSFS_NAME_MAX); CONSTANT(IBV_SYSFS_PATH_MAX);
  /* Work requests and their completions. */
  SIZE(ibv_sge); FIELD(ibv_sge, addr); FIELD(ibv_sge, length); FIELD(ibv_sge, lkey);
  SIZE(ibv_send_wr); FIELD(ibv_send_wr, wr_id); FIELD(ibv_send_wr, next); FIELD(ibv_send_wr, sg_list);
  FIELD(ibv_send_wr, num_sge); FIELD(ibv_send_wr, opcode); FIELD(ibv_send_wr, send_flags);
  FIELD(ibv_send_wr, imm_data); FIELD(ibv_send_wr, wr.rdma.remote_addr); FIELD(ibv_send_wr, wr.rdma.rkey);
  SIZE(ibv_recv_wr); FIELD(ibv_recv_wr, wr_id); FIELD(ibv_recv_wr, next); FIELD(ibv_recv_wr, sg_list);
  FIELD(ibv_recv_wr, num_sge);
  SIZE(ibv_wc); FIELD(ibv_wc, wr_id); FIELD(ibv_wc, status); FIELD(ibv_wc, opcode); FIELD(ibv_wc, vendor_err);
  FIELD(ibv_wc, byte_len); FIELD(ibv_wc, imm_data); FIELD(ibv_wc, qp_num); FIELD(ibv_wc, src_qp);
  FIELD(ibv_wc, wc_flags);
  /* What the library hands out. */
  FIELD(ibv_mr, context); FIELD(ibv_mr, pd); FIELD(ibv_mr, addr); FIELD(ibv_mr, length); FIELD(ibv_mr, handle);
  FIELD(ibv_mr, lkey); FIELD(ibv_mr, rkey); SIZE(ibv_mr);
  FIELD(ibv_pd, context); FIELD(ibv_pd, handle);
  FIELD(ibv_comp_channel, context); FIELD(ibv_comp_channel, fd);
  FIELD(ibv_cq, context); FIELD(ibv_cq, channel); FIELD(ibv_cq, cq_context); FIELD(ibv_cq, handle); FIELD(ibv_cq, cqe);
  FIELD(ibv_qp, context); FIELD(ibv_qp, pd); FIELD(ibv_qp, send_cq); FIELD(ibv_qp, recv_cq); FIELD(ibv_qp, handle);
  FIELD(ibv_qp, qp_num); FIELD(ibv_qp, state); FIELD(ibv_qp, qp_type);
  /* What the library is given. */
  SIZE(ibv_qp_init_attr); FIELD(ibv_qp_init_attr, qp_context); FIELD(ibv_qp_init_attr, send_cq);
  FIELD(ibv_qp_init_attr, recv_cq); FIELD(ibv_qp_init_attr, srq); FIELD(ibv_qp_init_attr, cap.max_send_wr);
  FIELD(ibv_qp_init_attr, cap.max_recv_wr); FIELD(ibv_qp_init_attr, cap.max_send_sge);
  FIELD(ibv_qp_init_attr, cap.max_recv_sge); FIELD(ibv_qp_init_attr, cap.max_inline_data);
  FIELD(ibv_qp_init_attr, qp_type); FIELD(ibv_qp_init_attr, sq_sig_all);
  SIZE(ibv_global_route); FIELD(ibv_global_route, dgid); FIELD(ibv_global_route, flow_label);
  FIELD(ibv_global_route, sgid_index); FIELD(ibv_global_route, hop_limit); FIELD(ibv_global_route, traffic_class);
  SIZE(ibv_ah_attr); FIELD(ibv_ah_attr, grh); FIELD(ibv_ah_attr, dlid); FIELD(ibv_ah_attr, sl);
  FIELD(ibv_ah_attr, src_path_bits); FIELD(ibv_ah_attr, static_rate); FIELD(ibv_ah_attr, is_global);
  FIELD(ibv_ah_attr, port_num);
  SIZE(ibv_qp_attr); FIELD(ibv_qp_attr, qp_state); FIELD(ibv_qp_attr, cur_qp_state); FIELD(ibv_qp_attr, path_mtu);
  FIELD(ibv_qp_attr, path_mig_state); FIELD(ibv_qp_attr, qkey); FIELD(ibv_qp_attr, rq_psn); FIELD(ibv_qp_attr, sq_psn);
  FIELD(ibv_qp_attr, dest_qp_num); FIELD(ibv_qp_attr, qp_access_flags); FIELD(ibv_qp_attr, cap.max_send_wr);
  FIELD(ibv_qp_attr, cap.max_recv_wr); FIELD(ibv_qp_attr, cap.max_inline_data); FIELD(ibv_qp_attr, ah_attr);
  FIELD(ibv_qp_attr, pkey_index); FIELD(ibv_qp_attr, sq_draining); FIELD(ibv_qp_attr, max_rd_atomic);
  FIELD(ibv_qp_attr, max_dest_rd_atomic); FIELD(ibv_qp_attr, min_rnr_timer); FIELD(ibv_qp_attr, port_num);
  FIELD(ibv_qp_attr, timeout); FIELD(ibv_qp_attr, retry_cnt); FIELD(ibv_qp_attr, rnr_retry);
  /* What the library fills in. */
  SIZE(ibv_device_attr); FIELD(ibv_device_attr, fw_ver); FIELD(ibv_device_attr, node_guid);
  FIELD(ibv_device_attr, max_mr_size); FIELD(ibv_device_attr, page_size_cap); FIELD(ibv_device_attr, vendor_id);
  FIELD(ibv_device_attr, vendor_part_id); FIELD(ibv_device_attr, hw_ver); FIELD(ibv_device_attr, max_qp);
  FIELD(ibv_device_attr, max_qp_wr); FIELD(ibv_device_attr, device_cap_flags); FIELD(ibv_device_attr, max_sge);
  FIELD(ibv_device_attr, max_sge_rd); FIELD(ibv_device_attr, max_cq); FIELD(ibv_device_attr, max_cqe);
  FIELD(ibv_device_attr, max_mr); FIELD(ibv_device_attr, max_pd); FIELD(ibv_device_attr, max_qp_rd_atom);
  FIELD(ibv_device_attr, max_res_rd_atom); FIELD(ibv_device_attr, max_qp_init_rd_atom);
  FIELD(ibv_device_attr, phys_port_cnt);
  FIELD(ibv_port_attr, state); FIELD(ibv_port_attr, max_mtu); FIELD(ibv_port_attr, active_mtu);
  FIELD(ibv_port_attr, gid_tbl_len); FIELD(ibv_port_attr, port_cap_flags); FIELD(ibv_port_attr, max_msg_sz);
  FIELD(ibv_port_attr, pkey_tbl_len); FIELD(ibv_port_attr, lid); FIELD(ibv_port_attr, sm_lid); FIELD(ibv_port_attr, lmc);
  FIELD(ibv_port_attr, sm_sl); FIELD(ibv_port_attr, active_width); FIELD(ibv_port_attr, active_speed);
  FIELD(ibv_port_attr, phys_state); FIELD(ibv_port_attr, link_layer); FIELD(ibv_port_attr, flags);
  SIZE(ibv_gid_entry); FIELD(ibv_gid_entry, gid); FIELD(ibv_gid_entry, gid_index); FIELD(ibv_gid_entry, port_num);
  FIELD(ibv_gid_entry, gid_type); FIELD(ibv_gid_entry, ndev_ifindex);
  SIZE(ibv_async_event); FIELD(ibv_async_event, element); FIELD(ibv_async_event, event_type);
  /* Node, transport, link, port, MTU, GID. */
  CONSTANT(IBV_NODE_CA); CONSTANT(IBV_NODE_RNIC); CONSTANT(IBV_NODE_UNSPECIFIED);
  CONSTANT(IBV_TRANSPORT_IB); CONSTANT(IBV_TRANSPORT_IWARP); CONSTANT(IBV_TRANSPORT_UNSPECIFIED);
  CONSTANT(IBV_LINK_LAYER_UNSPECIFIED); CONSTANT(IBV_LINK_LAYER_INFINIBAND); CONSTANT(IBV_LINK_LAYER_ETHERNET);
  CONSTANT(IBV_PORT_NOP); CONSTANT(IBV_PORT_DOWN); CONSTANT(IBV_PORT_INIT); CONSTANT(IBV_PORT_ARMED);
  CONSTANT(IBV_PORT_ACTIVE); CONSTANT(IBV_PORT_ACTIVE_DEFER); CONSTANT(IBV_QPF_GRH_REQUIRED);
  CONSTANT(IBV_MTU_256); CONSTANT(IBV_MTU_512); CONSTANT(IBV_MTU_1024); CONSTANT(IBV_MTU_2048); CONSTANT(IBV_MTU_4096);
  CONSTANT(IBV_GID_TYPE_IB); CONSTANT(IBV_GID_TYPE_ROCE_V1); CONSTANT(IBV_GID_TYPE_ROCE_V2);
  /* Queue pairs. */
  CONSTANT(IBV_QPT_RC); CONSTANT(IBV_QPS_RESET); CONSTANT(IBV_QPS_INIT); CONSTANT(IBV_QPS_RTR); CONSTANT(IBV_QPS_RTS);
  CONSTANT(IBV_QPS_SQD); CONSTANT(IBV_QPS_SQE); CONSTANT(IBV_QPS_ERR); CONSTANT(IBV_MIG_MIGRATED);
  CONSTANT(IBV_QP_STATE); CONSTANT(IBV_QP_CUR_STATE); CONSTANT(IBV_QP_ACCESS_FLAGS); CONSTANT(IBV_QP_PKEY_INDEX);
  CONSTANT(IBV_QP_PORT); CONSTANT(IBV_QP_QKEY); CONSTANT(IBV_QP_AV); CONSTANT(IBV_QP_PATH_MTU); CONSTANT(IBV_QP_TIMEOUT);
  CONSTANT(IBV_QP_RETRY_CNT); CONSTANT(IBV_QP_RNR_RETRY); CONSTANT(IBV_QP_RQ_PSN); CONSTANT(IBV_QP_MAX_QP_RD_ATOMIC);
  CONSTANT(IBV_QP_MIN_RNR_TIMER); CONSTANT(IBV_QP_SQ_PSN); CONSTANT(IBV_QP_MAX_DEST_RD_ATOMIC); CONSTANT(IBV_QP_CAP);
  CONSTANT(IBV_QP_DEST_QPN);
  /* Access and send flags, opcodes. */
  CONSTANT(IBV_ACCESS_LOCAL_WRITE); CONSTANT(IBV_ACCESS_REMOTE_WRITE); CONSTANT(IBV_ACCESS_REMOTE_READ);
  CONSTANT(IBV_ACCESS_REMOTE_ATOMIC); CONSTANT(IBV_ACCESS_MW_BIND); CONSTANT(IBV_ACCESS_ZERO_BASED);
  CONSTANT(IBV_ACCESS_ON_DEMAND); CONSTANT(IBV_ACCESS_HUGETLB); CONSTANT(IBV_ACCESS_RELAXED_ORDERING);
  CONSTANT(IBV_ACCESS_OPTIONAL_RANGE);
  CONSTANT(IBV_WR_RDMA_WRITE); CONSTANT(IBV_WR_RDMA_WRITE_WITH_IMM); CONSTANT(IBV_WR_SEND); CONSTANT(IBV_WR_SEND_WITH_IMM);
  CONSTANT(IBV_WR_RDMA_READ);
  CONSTANT(IBV_SEND_FENCE); CONSTANT(IBV_SEND_SIGNALED); CONSTANT(IBV_SEND_SOLICITED); CONSTANT(IBV_SEND_INLINE);
  CONSTANT(IBV_WC_SEND); CONSTANT(IBV_WC_RDMA_WRITE); CONSTANT(IBV_WC_RDMA_READ); CONSTANT(IBV_WC_RECV);
  CONSTANT(IBV_WC_RECV_RDMA_WITH_IMM); CONSTANT(IBV_WC_GRH); CONSTANT(IBV_WC_WITH_IMM);
  /* How a work request ended. */
  CONSTANT(IBV_WC_SUCCESS); CONSTANT(IBV_WC_LOC_LEN_ERR); CONSTANT(IBV_WC_LOC_QP_OP_ERR); CONSTANT(IBV_WC_LOC_EEC_OP_ERR);
  CONSTANT(IBV_WC_LOC_PROT_ERR); CONSTANT(IBV_WC_WR_FLUSH_ERR); CONSTANT(IBV_WC_MW_BIND_ERR); CONSTANT(IBV_WC_BAD_RESP_ERR);
  CONSTANT(IBV_WC_LOC_ACCESS_ERR); CONSTANT(IBV_WC_REM_INV_REQ_ERR); CONSTANT(IBV_WC_REM_ACCESS_ERR);
  CONSTANT(IBV_WC_REM_OP_ERR); CONSTANT(IBV_WC_RETRY_EXC_ERR); CONSTANT(IBV_WC_RNR_RETRY_EXC_ERR);
  CONSTANT(IBV_WC_LOC_RDD_VIOL_ERR); CONSTANT(IBV_WC_REM_INV_RD_REQ_ERR); CONSTANT(IBV_WC_REM_ABORT_ERR);
  CONSTANT(IBV_WC_INV_EECN_ERR); CONSTANT(IBV_WC_INV_EEC_STATE_ERR); CONSTANT(IBV_WC_FATAL_ERR);
  CONSTANT(IBV_WC_RESP_TIMEOUT_ERR); CONSTANT(IBV_WC_GENERAL_ERR); CONSTANT(IBV_WC_TM_ERR);
  CONSTANT(IBV_WC_TM_RNDV_INCOMPLETE);
  /* Asynchronous events. */
  CONSTANT(IBV_EVENT_CQ_ERR); CONSTANT(IBV_EVENT_QP_FATAL); CONSTANT(IBV_EVENT_QP_REQ_ERR); CONSTANT(IBV_EVENT_QP_ACCESS_ERR);
  CONSTANT(IBV_EVENT_COMM_EST); CONSTANT(IBV_EVENT_SQ_DRAINED); CONSTANT(IBV_EVENT_PATH_MIG);
  CONSTANT(IBV_EVENT_PATH_MIG_ERR); CONSTANT(IBV_EVENT_DEVICE_FATAL); CONSTANT(IBV_EVENT_PORT_ACTIVE);
  CONSTANT(IBV_EVENT_PORT_ERR); CONSTANT(IBV_EVENT_LID_CHANGE); CONSTANT(IBV_EVENT_PKEY_CHANGE);
  CONSTANT(IBV_EVENT_SM_CHANGE); CONSTANT(IBV_EVENT_SRQ_ERR); CONSTANT(IBV_EVENT_SRQ_LIMIT_REACHED);
  CONSTANT(IBV_EVENT_QP_LAST_WQE_REACHED); CONSTANT(IBV_EVENT_CLIENT_REREGISTER); CONSTANT(IBV_EVENT_GID_CHANGE);
  CONSTANT(IBV_EVENT_WQ_FATAL);
  printf("  \"sizeof.pointer\": %zu\n}\n", sizeof(void *));
  return 0;
}

/* What a plain C program gets out of libfabric: one endpoint, fi_read in a loop, at most 128 requests under way.
 * fabric-bench.mjs compiles it and runs it beside kvferry, over the same pieces and the same library.
 *   cc -O2 -o fabric-loop fabric-loop.c -lfabric && ./fabric-loop tcp 1024 65536 20
 * Prints the milliseconds of each repeat and those of its processor, after the bytes of the first were compared. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_rma.h>

#define DEPTH 128
#define OK(call)                                                          \
  do {                                                                    \
    long result_ = (call);                                                \
    if (result_ < 0) {                                                    \
      fprintf(stderr, #call ": %s\n", fi_strerror((int)-result_));        \
      kill(child, SIGKILL);                                               \
      exit(1);                                                            \
    }                                                                     \
  } while (0)

struct offer {
  char name[256];
  size_t length;
  uint64_t key, base;
};

static double millis(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  const char *provider = arguments[1];
  long pieces = atol(arguments[2]), bytes = atol(arguments[3]);
  int repeats = atoi(arguments[4]), shm = strcmp(provider, "shm") == 0;
  size_t pool = (size_t)pieces * bytes * 2;
  int way[2];
  pid_t child = -1;
  if (pipe(way) != 0) return 1;
  fflush(stdout);
  child = fork();
  struct fi_info *hints = fi_allocinfo(), *info;
  hints->caps = FI_RMA | FI_MSG;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_RDM;
  hints->domain_attr->mr_mode = FI_MR_LOCAL | (shm ? FI_MR_VIRT_ADDR : 0);
  hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
  hints->fabric_attr->prov_name = strdup(provider);
  OK(fi_getinfo(FI_VERSION(1, 17), shm ? NULL : "127.0.0.1", NULL, shm ? 0 : FI_SOURCE, hints, &info));
  struct fid_fabric *fabric;
  struct fid_domain *domain;
  struct fid_av *av;
  struct fid_cq *cq;
  struct fid_ep *ep;
  struct fid_mr *mr;
  OK(fi_fabric(info->fabric_attr, &fabric, NULL));
  OK(fi_domain(fabric, info, &domain, NULL));
  struct fi_av_attr av_attr = {.type = FI_AV_TABLE};
  OK(fi_av_open(domain, &av_attr, &av, NULL));
  struct fi_cq_attr cq_attr = {.format = FI_CQ_FORMAT_CONTEXT, .size = 1024};
  OK(fi_cq_open(domain, &cq_attr, &cq, NULL));
  OK(fi_endpoint(domain, info, &ep, NULL));
  OK(fi_ep_bind(ep, &av->fid, 0));
  OK(fi_ep_bind(ep, &cq->fid, FI_TRANSMIT | FI_RECV));
  OK(fi_enable(ep));
  char *memory = mmap(NULL, pool, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < pool / 4; i++) ((uint32_t *)memory)[i] = child == 0 ? (uint32_t)i * 2654435761u : 0;
  OK(fi_mr_reg(domain, memory, pool, FI_READ | FI_WRITE | FI_REMOTE_READ, 0, 4711, 0, &mr, NULL));
  struct fi_cq_entry entries[64];
  if (child == 0) {
    struct offer mine = {.length = 256, .key = fi_mr_key(mr), .base = (uint64_t)memory};
    OK(fi_getname(&ep->fid, mine.name, &mine.length));
    if (write(way[1], &mine, sizeof mine) != sizeof mine) return 1;
    for (;;)
      if (fi_cq_read(cq, entries, 64) == -FI_EAGAIN && getppid() == 1) return 0;
  }
  struct offer peer;
  if (read(way[0], &peer, sizeof peer) != sizeof peer) return 1;
  fi_addr_t target;
  OK(fi_av_insert(av, peer.name, 1, &target, 0, NULL) - 1);
  uint64_t base = info->domain_attr->mr_mode & FI_MR_VIRT_ADDR ? peer.base : 0;
  static struct fi_context2 contexts[DEPTH];
  int free_list[DEPTH];
  for (int repeat = 0; repeat <= repeats; repeat++) {
    int free_count = DEPTH;
    for (int i = 0; i < DEPTH; i++) free_list[i] = i;
    long posted = 0, done = 0;
    double start = millis(CLOCK_MONOTONIC), cpu = millis(CLOCK_PROCESS_CPUTIME_ID);
    while (done < pieces) {
      while (posted < pieces && free_count > 0) {
        /* Every other block, in an order that no prefetcher follows: the same that fabric-bench.mjs takes. */
        uint64_t at = (uint64_t)(posted * 7919 % pieces) * 2 * bytes;
        int slot = free_list[free_count - 1];
        ssize_t result = fi_read(ep, memory + at, bytes, fi_mr_desc(mr), target, base + at, peer.key, &contexts[slot]);
        if (result == -FI_EAGAIN) break;
        OK(result);
        free_count--;
        posted++;
      }
      ssize_t found = fi_cq_read(cq, entries, 64);
      if (found == -FI_EAGAIN) continue;
      OK(found);
      for (ssize_t i = 0; i < found; i++)
        free_list[free_count++] = (int)((struct fi_context2 *)entries[i].op_context - contexts);
      done += found;
    }
    /* The first one takes the page faults and makes the connection; its bytes are compared. */
    if (repeat > 0) printf("%.3f %.3f\n", millis(CLOCK_MONOTONIC) - start, millis(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    else
      for (long piece = 0; piece < pieces; piece++)
        for (long i = 0; i < bytes / 4; i++) {
          size_t word = (size_t)piece * 2 * bytes / 4 + i;
          if (((uint32_t *)memory)[word] != (uint32_t)word * 2654435761u) {
            fprintf(stderr, "word %zu is wrong\n", word);
            kill(child, SIGKILL);
            return 1;
          }
        }
  }
  kill(child, SIGKILL);
  return 0;
}

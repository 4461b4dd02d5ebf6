/* Prints what src/os/ffi/libc-abi.ts states, as JSON, from this machine's own headers.
 * cc -o /tmp/libc-abi tools/abi/libc-abi.c && /tmp/libc-abi
 * A test compiles and compares it where a compiler is present. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
/* Newer than some headers. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8
#endif

#define FIELD(s, m) printf("  \"%s.%s\": %zu,\n", #s, #m, offsetof(struct s, m))
#define SIZE(s) printf("  \"sizeof.%s\": %zu,\n", #s, sizeof(struct s))
#define CONSTANT(k) printf("  \"%s\": %lld,\n", #k, (long long)(k))

int main(void) {
  puts("{");
  SIZE(iovec); FIELD(iovec, iov_base); FIELD(iovec, iov_len);
  SIZE(msghdr); FIELD(msghdr, msg_name); FIELD(msghdr, msg_namelen); FIELD(msghdr, msg_iov);
  FIELD(msghdr, msg_iovlen); FIELD(msghdr, msg_control); FIELD(msghdr, msg_controllen); FIELD(msghdr, msg_flags);
  SIZE(pollfd); FIELD(pollfd, fd); FIELD(pollfd, events); FIELD(pollfd, revents);
  SIZE(sockaddr_in); FIELD(sockaddr_in, sin_family); FIELD(sockaddr_in, sin_port); FIELD(sockaddr_in, sin_addr);
  SIZE(sockaddr_in6); FIELD(sockaddr_in6, sin6_family); FIELD(sockaddr_in6, sin6_port);
  FIELD(sockaddr_in6, sin6_addr); FIELD(sockaddr_in6, sin6_scope_id);
  CONSTANT(AF_INET); CONSTANT(AF_INET6); CONSTANT(SOCK_STREAM); CONSTANT(SOCK_NONBLOCK); CONSTANT(SOCK_CLOEXEC);
  CONSTANT(SOL_SOCKET); CONSTANT(SO_REUSEADDR); CONSTANT(SO_ERROR);
  CONSTANT(SO_SNDBUF); CONSTANT(SO_RCVBUF); CONSTANT(IPPROTO_TCP); CONSTANT(TCP_NODELAY);
  CONSTANT(IPPROTO_IPV6); CONSTANT(IPV6_V6ONLY);
  CONSTANT(MSG_NOSIGNAL); CONSTANT(MSG_DONTWAIT); CONSTANT(MSG_WAITALL); CONSTANT(SHUT_RDWR);
  CONSTANT(POLLIN); CONSTANT(POLLOUT); CONSTANT(POLLERR); CONSTANT(POLLHUP); CONSTANT(POLLNVAL);
  CONSTANT(PROT_READ); CONSTANT(PROT_WRITE); CONSTANT(MAP_SHARED); CONSTANT(MAP_PRIVATE); CONSTANT(MAP_ANONYMOUS);
  CONSTANT(MAP_FIXED); CONSTANT(MAP_NORESERVE); CONSTANT(MAP_POPULATE); CONSTANT(MADV_HUGEPAGE); CONSTANT(MADV_POPULATE_WRITE); CONSTANT(MFD_CLOEXEC); CONSTANT(MFD_ALLOW_SEALING);
  CONSTANT(EPOLL_CLOEXEC); CONSTANT(EPOLL_CTL_ADD); CONSTANT(EPOLL_CTL_DEL); CONSTANT(EPOLLIN);
  CONSTANT(EFD_CLOEXEC); CONSTANT(EFD_NONBLOCK); CONSTANT(IOV_MAX);
  CONSTANT(EINTR); CONSTANT(EAGAIN); CONSTANT(ENOMEM); CONSTANT(EFAULT); CONSTANT(EINPROGRESS); CONSTANT(EADDRINUSE);
  CONSTANT(ECONNREFUSED); CONSTANT(ECONNRESET); CONSTANT(EPIPE); CONSTANT(ETIMEDOUT);
  CONSTANT(ESRCH); CONSTANT(EPERM);
  /* Shared memory between processes: files that are passed, seals, pages, nodes. */
  SIZE(cmsghdr); FIELD(cmsghdr, cmsg_len); FIELD(cmsghdr, cmsg_level); FIELD(cmsghdr, cmsg_type);
  SIZE(sockaddr_un); FIELD(sockaddr_un, sun_family); FIELD(sockaddr_un, sun_path);
  SIZE(ucred); FIELD(ucred, pid); FIELD(ucred, uid); FIELD(ucred, gid);
  CONSTANT(AF_UNIX); CONSTANT(SO_PEERCRED); CONSTANT(SCM_RIGHTS); CONSTANT(MSG_CMSG_CLOEXEC); CONSTANT(MSG_CTRUNC);
  CONSTANT(MFD_NOEXEC_SEAL); CONSTANT(MFD_HUGETLB); CONSTANT(MFD_HUGE_2MB); CONSTANT(MADV_POPULATE_READ);
  CONSTANT(F_ADD_SEALS); CONSTANT(F_GET_SEALS); CONSTANT(F_SEAL_SEAL); CONSTANT(F_SEAL_SHRINK); CONSTANT(F_SEAL_GROW);
  CONSTANT(F_SEAL_WRITE); CONSTANT(F_SEAL_FUTURE_WRITE); CONSTANT(MPOL_BIND);
  CONSTANT(PR_SET_PDEATHSIG); CONSTANT(SIGKILL);
  CONSTANT(EINVAL); CONSTANT(EMFILE); CONSTANT(ETOOMANYREFS);
  printf("  \"sizeof.pointer\": %zu\n}\n", sizeof(void *));
  return 0;
}

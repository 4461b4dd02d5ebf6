/* Prints what src/os/ffi/libc-abi.ts states, as JSON, from this machine's own headers.
 * cc -o /tmp/libc-abi tools/abi/libc-abi.c && /tmp/libc-abi
 * A test compiles and compares it where a compiler is present. */
#define _GNU_SOURCE
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

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
  CONSTANT(SOL_SOCKET); CONSTANT(SO_REUSEADDR); CONSTANT(SO_ERROR); CONSTANT(IPPROTO_TCP); CONSTANT(TCP_NODELAY);
  CONSTANT(IPPROTO_IPV6); CONSTANT(IPV6_V6ONLY);
  CONSTANT(MSG_NOSIGNAL); CONSTANT(MSG_DONTWAIT); CONSTANT(MSG_WAITALL); CONSTANT(SHUT_RDWR);
  CONSTANT(POLLIN); CONSTANT(POLLOUT); CONSTANT(POLLERR); CONSTANT(POLLHUP); CONSTANT(POLLNVAL);
  CONSTANT(PROT_READ); CONSTANT(PROT_WRITE); CONSTANT(MAP_SHARED); CONSTANT(MAP_PRIVATE); CONSTANT(MAP_ANONYMOUS);
  CONSTANT(MAP_FIXED); CONSTANT(MAP_NORESERVE); CONSTANT(MAP_POPULATE); CONSTANT(MADV_HUGEPAGE); CONSTANT(MADV_POPULATE_WRITE); CONSTANT(MFD_CLOEXEC); CONSTANT(MFD_ALLOW_SEALING);
  CONSTANT(EFD_CLOEXEC); CONSTANT(EFD_NONBLOCK); CONSTANT(IOV_MAX);
  CONSTANT(EINTR); CONSTANT(EAGAIN); CONSTANT(ENOMEM); CONSTANT(EFAULT); CONSTANT(EINPROGRESS); CONSTANT(EADDRINUSE);
  CONSTANT(ECONNREFUSED); CONSTANT(ECONNRESET); CONSTANT(EPIPE); CONSTANT(ETIMEDOUT);
  CONSTANT(ESRCH); CONSTANT(EPERM);
  printf("  \"sizeof.pointer\": %zu\n}\n", sizeof(void *));
  return 0;
}

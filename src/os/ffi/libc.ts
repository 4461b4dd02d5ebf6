import { bindLibrary, type SymbolTable } from "./symbols.ts"

/** The C library, as far as we call it. */
const table = {
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
  mmap: { result: "isize", parameters: ["ptr", "usize", "i32", "i32", "i32", "i64"] },
  // int munmap(void *addr, size_t length)
  munmap: { result: "i32", parameters: ["ptr", "usize"] },
  // int madvise(void *addr, size_t length, int advice)
  madvise: { result: "i32", parameters: ["ptr", "usize", "i32"] },
  // int memfd_create(const char *name, unsigned int flags)
  memfd_create: { result: "i32", parameters: ["cstring", "u32"] },
  // int ftruncate(int fd, off_t length)
  ftruncate: { result: "i32", parameters: ["i32", "i64"] },
  // void *memmove(void *dest, const void *src, size_t n)
  memmove: { result: "ptr", parameters: ["ptr", "ptr", "usize"] },
  // int close(int fd)
  close: { result: "i32", parameters: ["i32"] },
  // ssize_t read(int fd, void *buf, size_t count)
  read: { result: "isize", parameters: ["i32", "ptr", "usize"] },
  // ssize_t write(int fd, const void *buf, size_t count)
  write: { result: "isize", parameters: ["i32", "ptr", "usize"] },
  // int eventfd(unsigned int initval, int flags)
  eventfd: { result: "i32", parameters: ["u32", "i32"] },
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout)
  poll: { result: "i32", parameters: ["ptr", "usize", "i32"] },
  // int epoll_create1(int flags)
  epoll_create1: { result: "i32", parameters: ["i32"] },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
  epoll_ctl: { result: "i32", parameters: ["i32", "i32", "i32", "ptr"] },
  // int sched_yield(void)
  sched_yield: { result: "i32", parameters: [] },
  // int sched_setaffinity(pid_t pid, size_t cpusetsize, const cpu_set_t *mask)
  sched_setaffinity: { result: "i32", parameters: ["i32", "usize", "ptr"] },
  // int socket(int domain, int type, int protocol)
  socket: { result: "i32", parameters: ["i32", "i32", "i32"] },
  // int socketpair(int domain, int type, int protocol, int sv[2])
  socketpair: { result: "i32", parameters: ["i32", "i32", "i32", "ptr"] },
  // int bind(int sockfd, const struct sockaddr *addr, socklen_t addrlen)
  bind: { result: "i32", parameters: ["i32", "ptr", "u32"] },
  // int listen(int sockfd, int backlog)
  listen: { result: "i32", parameters: ["i32", "i32"] },
  // int accept4(int sockfd, struct sockaddr *addr, socklen_t *addrlen, int flags)
  accept4: { result: "i32", parameters: ["i32", "ptr", "ptr", "i32"] },
  // int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen)
  connect: { result: "i32", parameters: ["i32", "ptr", "u32"] },
  // int shutdown(int sockfd, int how)
  shutdown: { result: "i32", parameters: ["i32", "i32"] },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen)
  getsockname: { result: "i32", parameters: ["i32", "ptr", "ptr"] },
  // int getpeername(int sockfd, struct sockaddr *addr, socklen_t *addrlen)
  getpeername: { result: "i32", parameters: ["i32", "ptr", "ptr"] },
  // int getsockopt(int sockfd, int level, int optname, void *optval, socklen_t *optlen)
  getsockopt: { result: "i32", parameters: ["i32", "i32", "i32", "ptr", "ptr"] },
  // int setsockopt(int sockfd, int level, int optname, const void *optval, socklen_t optlen)
  setsockopt: { result: "i32", parameters: ["i32", "i32", "i32", "ptr", "u32"] },
  // ssize_t sendmsg(int sockfd, const struct msghdr *msg, int flags)
  sendmsg: { result: "isize", parameters: ["i32", "ptr", "i32"] },
  // ssize_t recvmsg(int sockfd, struct msghdr *msg, int flags)
  recvmsg: { result: "isize", parameters: ["i32", "ptr", "i32"] },
  // The memory of another process.
  // ssize_t process_vm_readv(pid_t pid, const struct iovec *local_iov, unsigned long liovcnt,
  //                          const struct iovec *remote_iov, unsigned long riovcnt, unsigned long flags)
  process_vm_readv: { result: "isize", parameters: ["i32", "ptr", "usize", "ptr", "usize", "usize"] },
  // ssize_t process_vm_writev(the same)
  process_vm_writev: { result: "isize", parameters: ["i32", "ptr", "usize", "ptr", "usize", "usize"] },
  // Shared memory between processes. Both take variable arguments in C; all of ours are integers, which travel alike.
  // int fcntl(int fd, int cmd, ...)
  fcntl: { result: "i32", parameters: ["i32", "i32", "i64"] },
  // int prctl(int option, unsigned long arg2, ...)
  prctl: { result: "i32", parameters: ["i32", "u64", "u64", "u64", "u64"] },
  // long syscall(long number, ...)
  syscall: { result: "isize", parameters: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"] },
} as const satisfies SymbolTable

/** The C library that this process already runs on: glibc's name first, then musl's. */
export const libc = bindLibrary(
  ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`],
  table,
).functions

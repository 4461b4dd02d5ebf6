/* A memory file of the other process, mapped here. One that is sealed against writers can only be read. */
#define _GNU_SOURCE
#include "ceilings.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int64_t ceiling_map(const char *path, size_t length, int writable) {
  int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) return -errno;
  void *at = mmap(NULL, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED | MAP_POPULATE, fd, 0);
  int failed = errno;
  close(fd);
  return at == MAP_FAILED ? -failed : (int64_t)(intptr_t)at;
}

int64_t ceiling_unmap(int64_t address, size_t length) {
  return munmap((void *)(intptr_t)address, length) == 0 ? 0 : -errno;
}

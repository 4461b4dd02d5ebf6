/* Copies by the processor: memcpy out of shared memory, and process_vm_readv out of another process. */
#define _GNU_SOURCE
#include "ceilings.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>

/* Threads take runs of pieces in turn, so that one that loses its core for a while does not hold up the others. */
typedef struct copy {
  pieces_t pieces;
  long run;
  int pid;
  _Atomic long next;
} copy_t;

static void from_the_front(void *argument) { atomic_store(&((copy_t *)argument)->next, 0); }

static int take(copy_t *copy, long *from, long *to) {
  *from = atomic_fetch_add_explicit(&copy->next, copy->run, memory_order_relaxed);
  *to = *from + copy->run < copy->pieces.count ? *from + copy->run : copy->pieces.count;
  return *from < copy->pieces.count;
}

static void *place(double address) { return (void *)(uintptr_t)address; }

static int copy_part(void *argument, int thread) {
  (void)thread;
  copy_t *copy = argument;
  const pieces_t *p = &copy->pieces;
  for (long i, end; take(copy, &i, &end);) {
    for (; i < end; i++) memcpy(place(p->target[i]), place(p->source[i]), p->length[i]);
  }
  return 0;
}

#define IOVECS 1024

static int vm_read_part(void *argument, int thread) {
  (void)thread;
  copy_t *copy = argument;
  const pieces_t *p = &copy->pieces;
  struct iovec local[IOVECS], remote[IOVECS];
  for (long first, end; take(copy, &first, &end);) {
    ssize_t wanted = 0;
    for (long i = first; i < end; i++) {
      local[i - first] = (struct iovec){place(p->target[i]), p->length[i]};
      remote[i - first] = (struct iovec){place(p->source[i]), p->length[i]};
      wanted += p->length[i];
    }
    ssize_t moved = process_vm_readv(copy->pid, local, end - first, remote, end - first, 0);
    if (moved != wanted) return moved < 0 ? -errno : -EFAULT;
  }
  return 0;
}

/* Runs of 4 MiB at least; whole lists for one thread, where nobody shares. */
static long run_of(long count, const uint32_t *length, int threads, long most) {
  if (threads == 1) return most;
  long run = (4L << 20) / (length[0] > 0 ? length[0] : 1);
  return run < 1 ? 1 : run > most ? most : run > count ? count : run;
}

int64_t ceiling_memcpy(int64_t count, const double *source, const double *target, const uint32_t *length, int threads,
                       int repeats, int pause_micros, double *micros) {
  copy_t copy = {.pieces = {count, source, target, length}, .run = run_of(count, length, threads, count)};
  return ceiling_rounds(copy_part, from_the_front, &copy, threads, repeats, pause_micros, micros);
}

int64_t ceiling_vm_read(int pid, int64_t count, const double *source, const double *target, const uint32_t *length,
                        int threads, int repeats, int pause_micros, double *micros) {
  copy_t copy = {
      .pieces = {count, source, target, length}, .run = run_of(count, length, threads, IOVECS), .pid = pid};
  return ceiling_rounds(vm_read_part, from_the_front, &copy, threads, repeats, pause_micros, micros);
}

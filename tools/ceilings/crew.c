#define _GNU_SOURCE
#include "ceilings.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

double ceiling_now_micros(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

void ceiling_sleep_micros(int micros) {
  struct timespec t = {micros / 1000000, (micros % 1000000) * 1000L};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {
  }
}

void ceiling_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

typedef struct crew {
  int (*part)(void *, int);
  void *argument;
  int threads;
  _Atomic int round;    /* raised by the caller: go */
  _Atomic int finished; /* raised by each helper: done */
  _Atomic int failure;
} crew_t;

typedef struct helper {
  crew_t *crew;
  int thread;
} helper_t;

/* A helper spins between two rounds, and gives its core away when it has spun for long. */
static void wait_past(_Atomic int *value, int seen) {
  for (int spins = 0; atomic_load_explicit(value, memory_order_acquire) == seen; spins++) {
    if (spins > 2000) sched_yield();
    else ceiling_relax();
  }
}

static void *help(void *of) {
  helper_t *me = of;
  crew_t *crew = me->crew;
  for (int seen = 0;; seen++) {
    wait_past(&crew->round, seen);
    if (atomic_load(&crew->round) < 0) return NULL;
    int failed = crew->part(crew->argument, me->thread);
    if (failed != 0) atomic_store(&crew->failure, failed);
    atomic_fetch_add_explicit(&crew->finished, 1, memory_order_release);
  }
}

int ceiling_rounds(int (*part)(void *, int), void (*before)(void *), void *argument, int threads, int repeats,
                   int pause_micros, double *micros) {
  crew_t crew = {.part = part, .argument = argument, .threads = threads};
  helper_t helpers[64];
  pthread_t ids[64];
  if (threads < 1 || threads > 64) return -EINVAL;
  for (int t = 1; t < threads; t++) {
    helpers[t] = (helper_t){&crew, t};
    int failed = pthread_create(&ids[t], NULL, help, &helpers[t]);
    if (failed != 0) {
      atomic_store(&crew.round, -1);
      for (int k = 1; k < t; k++) pthread_join(ids[k], NULL);
      return -failed;
    }
  }
  for (int i = 0; i < repeats && atomic_load(&crew.failure) == 0; i++) {
    if (pause_micros > 0) ceiling_sleep_micros(pause_micros);
    atomic_store(&crew.finished, 0);
    if (before != NULL) before(argument);
    double started = ceiling_now_micros();
    atomic_store_explicit(&crew.round, i + 1, memory_order_release);
    int failed = part(argument, 0);
    if (failed != 0) atomic_store(&crew.failure, failed);
    for (int spins = 0; atomic_load_explicit(&crew.finished, memory_order_acquire) < threads - 1; spins++) {
      if (spins > 2000) sched_yield();
      else ceiling_relax();
    }
    micros[i] = ceiling_now_micros() - started;
  }
  atomic_store(&crew.round, -1);
  for (int t = 1; t < threads; t++) pthread_join(ids[t], NULL);
  return atomic_load(&crew.failure);
}

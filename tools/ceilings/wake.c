/*
 * The shortest question and answer between two processes that share a page: two words, and a futex on each for whoever
 * sleeps. What it takes there and back bounds every read in which a side must be woken.
 */
#define _GNU_SOURCE
#include "ceilings.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPIN_MICROS 20000

typedef struct bell {
  _Atomic uint32_t word;
  _Atomic uint32_t asleep;
} bell_t;

typedef struct page {
  _Alignas(64) bell_t question;
  _Alignas(64) bell_t answer;
  _Alignas(64) _Atomic uint32_t spin;
} page_t;

static long futex(_Atomic uint32_t *word, int action, uint32_t value) {
  return syscall(SYS_futex, word, action, value, NULL, NULL, 0);
}

/* Either the one who rings sees the sleeper, or the sleeper's futex sees the new word: all of it in one order. */
static void ring(bell_t *bell, uint32_t word) {
  atomic_store(&bell->word, word);
  if (atomic_load(&bell->asleep) == 0) return;
  atomic_store(&bell->asleep, 0);
  futex(&bell->word, FUTEX_WAKE, INT_MAX);
}

/* Waits until the word is no longer `seen`. A spinner gives up after a while, or when it is told to. */
static uint32_t past(bell_t *bell, uint32_t seen, _Atomic uint32_t *spin) {
  double until = atomic_load(spin) ? ceiling_now_micros() + SPIN_MICROS : 0;
  for (int spins = 0;; spins++) {
    uint32_t now = atomic_load_explicit(&bell->word, memory_order_acquire);
    if (now != seen) return now;
    if (atomic_load_explicit(spin, memory_order_relaxed) && (spins % 64 != 63 || ceiling_now_micros() < until)) {
      ceiling_relax();
      continue;
    }
    atomic_store(&bell->asleep, 1);
    futex(&bell->word, FUTEX_WAIT, seen);
  }
}

static void *answer_all(void *argument) {
  page_t *page = argument;
  for (uint32_t seen = 0;;) {
    seen = past(&page->question, seen, &page->spin);
    ring(&page->answer, seen);
  }
  return NULL;
}

int64_t ceiling_wake_serve(int64_t address) {
  pthread_t id;
  int failed = pthread_create(&id, NULL, answer_all, (void *)(intptr_t)address);
  if (failed == 0) pthread_detach(id);
  return -failed;
}

int64_t ceiling_wake_call(int64_t address, int spin, int repeats, int pause_micros, double *micros) {
  page_t *page = (page_t *)(intptr_t)address;
  atomic_store(&page->spin, spin);
  for (int i = 0; i < repeats; i++) {
    if (pause_micros > 0) ceiling_sleep_micros(pause_micros);
    double started = ceiling_now_micros();
    uint32_t question = atomic_load(&page->question.word) + 1;
    ring(&page->question, question);
    past(&page->answer, question - 1, &page->spin);
    micros[i] = ceiling_now_micros() - started;
  }
  atomic_store(&page->spin, 0);
  return 0;
}

/*
 * Ceilings of `kvferry bench record`: what the same machine does with the same bytes when nobody is in its way.
 *
 * Built at bench time as one library, when there is a compiler, and loaded by the benchmark's two processes, so that a
 * ceiling moves the very pieces between the very pages that kvferry does. Nothing that ships needs it.
 *
 * Addresses come as doubles (they lie below 2^53). Every call returns 0 or more, or a negative errno.
 * Times are written in microseconds, one for each repeat. `pause_micros` sleeps before each repeat, outside its time.
 */
#ifndef KVFERRY_CEILINGS_H
#define KVFERRY_CEILINGS_H

#include <stddef.h>
#include <stdint.h>

/* One job: `count` pieces of `length[i]` bytes from `source[i]` to `target[i]`. */
typedef struct pieces {
  long count;
  const double *source;
  const double *target;
  const uint32_t *length;
} pieces_t;

/* copy.c */
int64_t ceiling_memcpy(int64_t count, const double *source, const double *target, const uint32_t *length,
                       int threads, int repeats, int pause_micros, double *micros);
int64_t ceiling_vm_read(int pid, int64_t count, const double *source, const double *target, const uint32_t *length,
                        int threads, int repeats, int pause_micros, double *micros);

/* map.c */
int64_t ceiling_map(const char *path, size_t length, int writable);
int64_t ceiling_unmap(int64_t address, size_t length);

/* stream.c */
int64_t ceiling_streams(int streams, int jobs);
int64_t ceiling_stream_places(int64_t handle, int stream, int job, int64_t count, const double *address,
                              const uint32_t *length);
int64_t ceiling_stream_listen(int64_t handle);
int64_t ceiling_stream_connect(int64_t handle, int port);
int64_t ceiling_stream_read(int64_t handle, int job, int spin, int repeats, int pause_micros, double *micros);

/* wake.c */
int64_t ceiling_wake_serve(int64_t address);
int64_t ceiling_wake_call(int64_t address, int spin, int repeats, int pause_micros, double *micros);

/* crew.c */
double ceiling_now_micros(void);
void ceiling_sleep_micros(int micros);
void ceiling_relax(void);
/* Runs `part(argument, thread)` on `threads` threads, the calling one included, and times each of `repeats` rounds. */
int ceiling_rounds(int (*part)(void *argument, int thread), void (*before)(void *argument), void *argument, int threads,
                   int repeats, int pause_micros, double *micros);

#endif

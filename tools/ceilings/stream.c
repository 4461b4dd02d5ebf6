/*
 * TCP on loopback with nothing around it: the reader asks with two bytes, the payload comes back and is received straight
 * into place by scatter lists that were made before. One thread for each stream on either side, blocking calls.
 *
 * A request that spins keeps both sides off the kernel's waiting: they ask for bytes again and again.
 */
#define _GNU_SOURCE
#include "ceilings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define STREAMS 16
#define IOVECS 1024
/* A source that was asked by a spinning reader waits for its next request this long without sleeping. */
#define SPIN_MICROS 20000

typedef struct list {
  long count;
  struct iovec *places;
} list_t;

typedef struct streams {
  int streams, jobs;
  int listener;
  int fds[STREAMS];
  list_t *lists; /* [stream][job] */
  int job, spin; /* of the read under way */
} streams_t;

typedef struct seat {
  streams_t *of;
  int fd;
} seat_t;

static streams_t *streams_at(int64_t handle) { return (streams_t *)(intptr_t)handle; }

int64_t ceiling_streams(int streams, int jobs) {
  if (streams < 1 || streams > STREAMS || jobs < 1 || jobs > 200) return -EINVAL;
  streams_t *s = calloc(1, sizeof *s);
  if (s == NULL) return -ENOMEM;
  s->streams = streams;
  s->jobs = jobs;
  s->listener = -1;
  s->lists = calloc((size_t)streams * jobs, sizeof *s->lists);
  if (s->lists == NULL) {
    free(s);
    return -ENOMEM;
  }
  return (int64_t)(intptr_t)s;
}

int64_t ceiling_stream_places(int64_t handle, int stream, int job, int64_t count, const double *address,
                              const uint32_t *length) {
  streams_t *s = streams_at(handle);
  if (stream < 0 || stream >= s->streams || job < 0 || job >= s->jobs) return -EINVAL;
  list_t *list = &s->lists[stream * s->jobs + job];
  list->places = malloc((size_t)count * sizeof *list->places);
  if (list->places == NULL) return -ENOMEM;
  list->count = count;
  for (long i = 0; i < count; i++) list->places[i] = (struct iovec){(void *)(uintptr_t)address[i], length[i]};
  return 0;
}

/* Moves a whole list with `sendmsg` or `recvmsg`. A place that was cut is made whole again, for the next time. */
static int move_list(int fd, const list_t *list, int sending, int spin) {
  for (long first = 0; first < list->count;) {
    long count = list->count - first < IOVECS ? list->count - first : IOVECS;
    struct msghdr message = {.msg_iov = list->places + first, .msg_iovlen = count};
    struct iovec whole = list->places[first];
    size_t cut = 0;
    for (long done = 0; done < count;) {
      message.msg_iov = list->places + first + done;
      message.msg_iovlen = count - done;
      ssize_t moved = sending ? sendmsg(fd, &message, MSG_NOSIGNAL)
                              : recvmsg(fd, &message, spin ? MSG_DONTWAIT : MSG_WAITALL);
      if (moved < 0 && (errno == EAGAIN || errno == EINTR)) {
        ceiling_relax();
        continue;
      }
      if (moved <= 0) return moved == 0 ? -ECONNRESET : -errno;
      size_t left = moved;
      while (left > 0) {
        struct iovec *at = &list->places[first + done];
        if (cut == 0) whole = *at;
        if (left < at->iov_len) {
          at->iov_base = (char *)at->iov_base + left;
          at->iov_len -= left;
          cut = 1;
          break;
        }
        left -= at->iov_len;
        *at = whole;
        cut = 0;
        done++;
        if (done < count) whole = list->places[first + done];
      }
    }
    first += count;
  }
  return 0;
}

static int receive_request(int fd, unsigned char *request, int spin) {
  double until = spin ? ceiling_now_micros() + SPIN_MICROS : 0;
  for (;;) {
    int waiting = spin && ceiling_now_micros() < until;
    ssize_t got = recv(fd, request, 2, waiting ? MSG_DONTWAIT : MSG_WAITALL);
    if (got == 2) return 0;
    if (got == 0) return -ECONNRESET;
    if (got == 1) return -EBADMSG;
    if (errno != EAGAIN && errno != EINTR) return -errno;
    ceiling_relax();
  }
}

static void *serve(void *argument) {
  seat_t seat = *(seat_t *)argument;
  free(argument);
  unsigned char request[2] = {0, 0};
  if (receive_request(seat.fd, request, 0) == 0 && request[0] < seat.of->streams) {
    int stream = request[0];
    request[1] = 0;
    while (receive_request(seat.fd, request, request[1]) == 0 && request[0] < seat.of->jobs) {
      if (move_list(seat.fd, &seat.of->lists[stream * seat.of->jobs + request[0]], 1, 0) != 0) break;
    }
  }
  close(seat.fd);
  return NULL;
}

static void at_once(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void *accept_all(void *argument) {
  streams_t *s = argument;
  for (int i = 0; i < s->streams; i++) {
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    seat_t *seat = fd < 0 ? NULL : malloc(sizeof *seat);
    pthread_t id;
    if (seat == NULL) break;
    at_once(fd);
    *seat = (seat_t){s, fd};
    if (pthread_create(&id, NULL, serve, seat) != 0) break;
    pthread_detach(id);
  }
  close(s->listener);
  return NULL;
}

/* Returns the port. The threads end with their connections. */
int64_t ceiling_stream_listen(int64_t handle) {
  streams_t *s = streams_at(handle);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (s->listener < 0) return -errno;
  if (bind(s->listener, (void *)&at, sizeof at) != 0 || listen(s->listener, STREAMS) != 0 ||
      getsockname(s->listener, (void *)&at, &length) != 0) {
    int failed = errno;
    close(s->listener);
    return -failed;
  }
  pthread_t id;
  int failed = pthread_create(&id, NULL, accept_all, s);
  if (failed != 0) return -failed;
  pthread_detach(id);
  return ntohs(at.sin_port);
}

int64_t ceiling_stream_connect(int64_t handle, int port) {
  streams_t *s = streams_at(handle);
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  for (int i = 0; i < s->streams; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    unsigned char hello[2] = {(unsigned char)i, 0};
    at_once(fd);
    if (connect(fd, (void *)&at, sizeof at) != 0 || send(fd, hello, 2, MSG_NOSIGNAL) != 2) {
      int failed = errno;
      close(fd);
      return -failed;
    }
    s->fds[i] = fd;
  }
  return 0;
}

static int read_part(void *argument, int stream) {
  streams_t *s = argument;
  const list_t *list = &s->lists[stream * s->jobs + s->job];
  if (list->count == 0) return 0;
  unsigned char request[2] = {(unsigned char)s->job, (unsigned char)s->spin};
  if (send(s->fds[stream], request, 2, MSG_NOSIGNAL) != 2) return -errno;
  return move_list(s->fds[stream], list, 0, s->spin);
}

int64_t ceiling_stream_read(int64_t handle, int job, int spin, int repeats, int pause_micros, double *micros) {
  streams_t *s = streams_at(handle);
  if (job < 0 || job >= s->jobs) return -EINVAL;
  s->job = job;
  s->spin = spin;
  int failed = ceiling_rounds(read_part, NULL, s, s->streams, repeats, pause_micros, micros);
  if (failed != 0 || !spin) return failed;
  /* Once more without spinning, so that the source goes to sleep and takes nothing from whoever is measured next. */
  double last;
  s->spin = 0;
  return ceiling_rounds(read_part, NULL, s, s->streams, 1, 0, &last);
}

// SPDX-License-Identifier: Apache-2.0
// The app that is measured with: listens at once, answers every request on a connection with 200, after so many seconds
// as its path names (/2.5). Each answer says when the instance's main began, in ns of CLOCK_MONOTONIC, how long it has
// worked on requests that take a time, in ns, and how many of these there were at most at a time.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long began;
static atomic_llong worked;
static atomic_int busy, most;

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void work(double seconds) {
  if (seconds <= 0) return;
  int running = ++busy;
  for (int top = most; running > top && !atomic_compare_exchange_weak(&most, &top, running);) continue;
  long long from = now();
  usleep(1e6 * seconds);
  worked += now() - from;
  --busy;
}

static void* serve(void* connection) {  // each on a thread of its own: probes must not block requests
  int client = (int)(long)connection;
  char request[65536];
  size_t have = 0;
  for (ssize_t got; (got = read(client, request + have, sizeof request - 1 - have)) > 0;) {
    request[have += got] = 0;
    if (!strstr(request, "\r\n\r\n")) continue;
    have = 0;
    work(atof(strchr(request, '/') + 1));
    char answer[256];
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 200 OK\r\nx-began: %lld\r\nx-worked: %lld\r\nx-most: %d\r\n"
                          "content-length: 3\r\n\r\nok\n",
                          began, worked, most);
    if (write(client, answer, length) < 0) break;
  }
  close(client);
  return 0;
}

int main(void) {
  began = now();
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) || listen(listener, 128)) return 1;
  for (;;) {
    int client = accept(listener, 0, 0);
    pthread_t thread;
    if (client < 0) continue;
    if (pthread_create(&thread, 0, serve, (void*)(long)client)) close(client);
    else pthread_detach(thread);
  }
}

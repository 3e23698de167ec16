// SPDX-License-Identifier: Apache-2.0
// The app that starts are measured with: listens at once, answers every request on a connection with 200, after so many
// seconds as its path names (/2.5). Each answer says when the instance's main began, in ns of CLOCK_MONOTONIC.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char answer[128];
static int length;

static void* serve(void* connection) {  // each on a thread of its own: probes must not block requests
  int client = (int)(long)connection;
  char request[65536];
  size_t have = 0;
  for (ssize_t got; (got = read(client, request + have, sizeof request - 1 - have)) > 0;) {
    request[have += got] = 0;
    if (!strstr(request, "\r\n\r\n")) continue;
    have = 0;
    double seconds = atof(strchr(request, '/') + 1);
    if (seconds > 0) usleep(1e6 * seconds);
    if (write(client, answer, length) < 0) break;
  }
  close(client);
  return 0;
}

int main(void) {
  struct timespec began;
  clock_gettime(CLOCK_MONOTONIC, &began);
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) || listen(listener, 128)) return 1;
  length = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nx-began: %lld\r\ncontent-length: 3\r\n\r\nok\n",
                    began.tv_sec * 1000000000LL + began.tv_nsec);
  for (;;) {
    int client = accept(listener, 0, 0);
    pthread_t thread;
    if (client < 0) continue;
    if (pthread_create(&thread, 0, serve, (void*)(long)client)) close(client);
    else pthread_detach(thread);
  }
}

// SPDX-License-Identifier: Apache-2.0
// The app that cold starts are measured with: listens at once, answers every request on a connection with 200.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) || listen(listener, 128)) return 1;
  static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
  char request[65536];
  for (;;) {
    int client = accept(listener, 0, 0);
    if (client < 0 || fork()) {  // a process a connection: probes must not block requests
      close(client);
      continue;
    }
    size_t have = 0;
    for (ssize_t got; (got = read(client, request + have, sizeof request - 1 - have)) > 0;) {
      request[have += got] = 0;
      if (!strstr(request, "\r\n\r\n")) continue;
      have = 0;
      if (write(client, answer, sizeof answer - 1) < 0) break;
    }
    _exit(0);
  }
}

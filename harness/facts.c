/* SPDX-License-Identifier: Apache-2.0
 * The app of test images: an HTTP server without any library beside libc, linked statically, that answers with facts
 * about itself. It listens on $PORT, or 8080.
 *
 *   GET /              JSON: pid, user, group, groups, folder, host, arguments, environment
 *   GET /file/PATH     the content of a file; 404 with the error if it cannot be read
 *   GET /write/PATH    writes "x" to a file; 200, or 403 with the error
 *   GET /sleep/MS      answers after that time
 *   GET /memory/MIB    uses that much memory, then answers
 *   GET /fetch/IPV4:PORT   connects there and answers with the first bytes, or 502 with the error
 *   GET /exit/CODE     ends the process
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;
static char **arguments;

static void quoted(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\') fprintf(out, "\\%c", *at);
        else if (*at < 32 || *at > 126) fprintf(out, "\\u%04x", *at);
        else fputc(*at, out);
    }
    fputc('"', out);
}

static void list(FILE *out, const char *name, char **texts) {
    fprintf(out, ",\"%s\":[", name);
    for (int at = 0; texts[at]; at++) {
        if (at) fputc(',', out);
        quoted(out, texts[at]);
    }
    fputc(']', out);
}

static void facts(FILE *out) {
    char folder[PATH_MAX] = "", host[HOST_NAME_MAX + 1] = "";
    gid_t groups[256];
    int count = getgroups(256, groups);
    if (!getcwd(folder, sizeof folder)) folder[0] = 0;
    gethostname(host, sizeof host - 1);
    fprintf(out, "{\"pid\":%d,\"user\":%d,\"group\":%d,\"groups\":[", getpid(), getuid(), getgid());
    for (int at = 0; at < count; at++) fprintf(out, "%s%d", at ? "," : "", groups[at]);
    fprintf(out, "],\"folder\":");
    quoted(out, folder);
    fprintf(out, ",\"host\":");
    quoted(out, host);
    list(out, "arguments", arguments);
    list(out, "environment", environ);
    fprintf(out, "}\n");
}

static int read_file(FILE *out, const char *path) {
    char piece[65536];
    ssize_t size;
    int file = open(path, O_RDONLY);
    if (file < 0 || (size = read(file, piece, sizeof piece)) < 0) {
        fprintf(out, "%s: %s\n", path, strerror(errno));
        if (file >= 0) close(file);
        return 404;
    }
    do fwrite(piece, 1, (size_t)size, out);
    while ((size = read(file, piece, sizeof piece)) > 0);
    close(file);
    return 200;
}

static int write_file(FILE *out, const char *path) {
    int file = open(path, O_WRONLY | O_CREAT, 0644);
    if (file < 0 || write(file, "x", 1) != 1) {
        fprintf(out, "%s: %s\n", path, strerror(errno));
        if (file >= 0) close(file);
        return 403;
    }
    close(file);
    fprintf(out, "written\n");
    return 200;
}

static int fetch(FILE *out, char *place) {
    char *port = strchr(place, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct timeval patience = {2, 0};
    char piece[4096];
    if (!port) return 400;
    *port++ = 0;
    address.sin_port = htons((uint16_t)atoi(port));
    inet_pton(AF_INET, place, &address.sin_addr);
    int remote = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(remote, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(remote, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(remote, (struct sockaddr *)&address, sizeof address)) {
        fprintf(out, "%s\n", strerror(errno));
        close(remote);
        return 502;
    }
    dprintf(remote, "GET / HTTP/1.0\r\nhost: %s\r\n\r\n", place);
    ssize_t size = read(remote, piece, sizeof piece);
    if (size > 0) fwrite(piece, 1, (size_t)size, out);
    close(remote);
    return 200;
}

static int answer(FILE *out, char *path) {
    if (!strncmp(path, "/file/", 6)) return read_file(out, path + 5);
    if (!strncmp(path, "/write/", 7)) return write_file(out, path + 6);
    if (!strncmp(path, "/fetch/", 7)) return fetch(out, path + 7);
    if (!strncmp(path, "/exit/", 6)) _exit(atoi(path + 6));
    if (!strncmp(path, "/sleep/", 7)) usleep((useconds_t)atoi(path + 7) * 1000);
    if (!strncmp(path, "/memory/", 8)) {
        size_t size = (size_t)atoi(path + 8) << 20;
        volatile char *held = malloc(size); /* the compiler would leave out an ordinary write that nobody reads */
        for (size_t at = 0; held && at < size; at += 4096) held[at] = 1;
    }
    facts(out);
    return 200;
}

static void *serve(void *given) {
    int client = (int)(intptr_t)given;
    char head[8192], path[4096];
    size_t size = 0;
    while (1) {
        ssize_t got = read(client, head + size, sizeof head - 1 - size);
        if (got <= 0) break;
        size += (size_t)got;
        head[size] = 0;
        char *end = strstr(head, "\r\n\r\n");
        if (!end) {
            if (size == sizeof head - 1) break;
            continue;
        }
        if (sscanf(head, "%*s %4095s", path) != 1) break;
        char *body = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&body, &length);
        int status = answer(out, path);
        fclose(out);
        char top[128];
        int begin = snprintf(top, sizeof top, "HTTP/1.1 %d -\r\ncontent-length: %zu\r\n\r\n", status, length);
        int failed = write(client, top, (size_t)begin) < 0 || write(client, body, length) < 0;
        free(body);
        if (failed) break;
        size_t used = (size_t)(end + 4 - head);
        memmove(head, end + 4, size - used);
        size -= used;
    }
    close(client);
    return NULL;
}

static void stop(int number) {
    (void)number;
    _exit(0);
}

int main(int count, char **given) {
    const char *port = getenv("PORT");
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    int on = 1, off = 0;
    arguments = given;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, stop);
    address.sin6_port = htons((uint16_t)atoi(port && *port ? port : "8080"));
    int server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server >= 0) {
        setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(server, (struct sockaddr *)&address, sizeof address)) {
            close(server);
            server = -1;
        }
    }
    if (server < 0) {
        struct sockaddr_in old = {.sin_family = AF_INET, .sin_port = address.sin6_port};
        server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(server, (struct sockaddr *)&old, sizeof old)) {
            perror("bind");
            return 1;
        }
    }
    if (listen(server, 1024)) {
        perror("listen");
        return 1;
    }
    printf("listens on %d\n", ntohs(address.sin6_port));
    fflush(stdout);
    while (1) {
        int client = accept(server, NULL, NULL);
        pthread_t thread;
        if (client < 0) continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client)) close(client);
        else pthread_detach(thread);
    }
}

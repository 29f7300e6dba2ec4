/* The bench's websocket client: blocking sockets and no library, so that what is measured is not the client.

   load PORT PATH TARGET MODE N [BYTES]     connects to 127.0.0.1:PORT, to PATH

   TARGET is a page's id, or "-" for the browser's own session. After its preparations it prints "ready", waits for
   a line on stdin, does its work, prints one line of JSON and holds its connections until stdin ends.

   rtt       N commands, one after the other: {"p50", "p99", "mean"} in µs
   pipeline  N commands without waiting for answers
   response  N times, one after the other, an answer of BYTES
   request   N times, one after the other, a command of BYTES
   flood     N events of about BYTES each, as fast as the page can make them
   these four: {"seconds"} until the last answer or event is there
   idle      N connections, of which nothing is asked: {}
   stall     N connections that each ask for an answer of BYTES and do not read: {"arrived"}, bytes that wait here
*/
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SETTLED_MS 500 /* nothing more has come for so long: everyone on the way has stopped reading */
#define GIVE_UP_S 60   /* without a byte */

typedef struct {
    int fd;
    char session[64];                   /* ,"sessionId":"…" of the attached page, or nothing */
    unsigned char header[10], kind;     /* of the frame that is being read, kind its first byte */
    int header_size, start_size;
    uint64_t left, size;                /* bytes of its payload still to come, and of its message so far */
    char start[256];                    /* the beginning of the message */
    long answers, events;
    uint64_t event_size;                /* bytes of the last event */
} Connection;

static const unsigned char MASK[4] = {0x4b, 0x9d, 0x21, 0xe6};
static const char *event = "{\"method\":\"Runtime.bindingCalled\"";
static int next_id = 1;

static void fail(const char *words, ...) {
    va_list rest;
    va_start(rest, words);
    fputs("load: ", stderr);
    vfprintf(stderr, words, rest);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) { /* seconds */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {GIVE_UP_S, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static void open_websocket(Connection *c, int port, const char *path) {
    char text[4096];
    memset(c, 0, sizeof *c);
    c->fd = connect_to(port);
    dprintf(c->fd, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, port);
    size_t n = 0;
    while (n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4)) /* byte by byte: what follows is frames */
        if (n == sizeof text - 1 || recv(c->fd, text + n++, 1, 0) != 1) fail("no answer to the upgrade");
    text[n] = 0;
    if (!strstr(text, " 101 ")) fail("refused: %.200s", text);
}

/* One masked text frame of a command, into a new buffer; its size to *size. */
static char *command(const Connection *c, const char *method, const char *params, size_t *size) {
    size_t room = strlen(params) + 300;
    char *text = malloc(room), *frame = malloc(room + 14);
    if (!text || !frame) fail("no memory");
    size_t n = snprintf(text, room, "{\"id\":%d,\"method\":\"%s\",\"params\":%s%s}", next_id++, method, params, c->session);
    size_t at = 2;
    frame[0] = (char)0x81;
    frame[1] = (char)(0x80 | (n < 126 ? n : n < 65536 ? 126 : 127));
    for (int shift = n < 126 ? 0 : n < 65536 ? 16 : 64; shift; shift -= 8) frame[at++] = (char)((uint64_t)n >> (shift - 8));
    memcpy(frame + at, MASK, 4);
    at += 4;
    for (size_t i = 0; i < n; i++) frame[at + i] = text[i] ^ MASK[i & 3];
    *size = at + n;
    free(text);
    return frame;
}

static void frame_ended(Connection *c) {
    c->header_size = 0;
    if ((c->kind & 15) == 8) fail("the other side closed the websocket: %.*s", c->start_size, c->start);
    if ((c->kind & 15) > 8 || !(c->kind & 0x80)) return; /* pings want no answer here; more of this message follows */
    c->start[c->start_size] = 0;
    if (!strncmp(c->start, "{\"id\":", 6)) {
        if (strstr(c->start, "\"error\":{")) fail("Chromium refused: %s", c->start);
        c->answers++;
    } else if (!strncmp(c->start, event, strlen(event))) {
        c->events++;
        c->event_size = c->size;
    }
}

static int whole_header(const Connection *c) {
    return c->header_size < 2 ? 2 : c->header[1] == 126 ? 4 : c->header[1] == 127 ? 10 : 2;
}

static void feed(Connection *c, const char *data, size_t n) {
    while (n) {
        if (c->header_size < whole_header(c)) {
            c->header[c->header_size++] = (unsigned char)*data++, n--;
            if (c->header_size < whole_header(c)) continue;
            c->left = c->header_size == 2 ? c->header[1] : 0;
            for (int i = 2; i < c->header_size; i++) c->left = c->left << 8 | c->header[i];
            c->kind = c->header[0];
            if (c->kind & 15) c->size = c->start_size = 0;
            c->size += c->left;
            if (!c->left) frame_ended(c);
            continue;
        }
        size_t take = n < c->left ? n : c->left, keep = sizeof c->start - 1 - c->start_size;
        if (keep > take) keep = take;
        memcpy(c->start + c->start_size, data, keep);
        c->start_size += keep;
        data += take, n -= take, c->left -= take;
        if (!c->left) frame_ended(c);
    }
}

/* Send `out` while reading, until so many more answers and events have come. */
static void exchange(Connection *c, const char *out, size_t size, long answers, long events) {
    static char buffer[1 << 18];
    answers += c->answers, events += c->events;
    while (size || c->answers < answers || c->events < events) {
        if (size) {
            ssize_t n = send(c->fd, out, size, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN) fail("send: %s", strerror(errno));
            if (n > 0) out += n, size -= n;
            struct pollfd either = {c->fd, POLLIN | POLLOUT, 0};
            if (!size) continue;
            if (poll(&either, 1, GIVE_UP_S * 1000) < 1) fail("nothing moves any more");
            if (!(either.revents & POLLIN)) continue;
        }
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n <= 0) fail(n ? "recv: %s" : "the other side hung up", strerror(errno));
        feed(c, buffer, n);
    }
}

static void ask(Connection *c, const char *method, const char *params) {
    size_t size;
    char *frame = command(c, method, params, &size);
    exchange(c, frame, size, 1, 0);
    free(frame);
}

static void attach(Connection *c, const char *target) {
    char params[200], session[41];
    if (!strcmp(target, "-")) return;
    snprintf(params, sizeof params, "{\"targetId\":\"%s\",\"flatten\":true}", target);
    ask(c, "Target.attachToTarget", params);
    char *id = strstr(c->start, "\"sessionId\":\"");
    if (!id || sscanf(id + 13, "%40[0-9A-F]", session) != 1) fail("not attached: %s", c->start);
    snprintf(c->session, sizeof c->session, ",\"sessionId\":\"%s\"", session);
}

/* Runtime.evaluate's parameters for an expression with a string of `bytes` somewhere in it. */
static char *expression(const char *before, size_t bytes, const char *after) {
    char *params = malloc(bytes + 300);
    if (!params) fail("no memory");
    int at = sprintf(params, "{\"expression\":\"%s", before);
    memset(params + at, 'x', bytes);
    sprintf(params + at + bytes, "%s\"}", after);
    return params;
}

static char *long_string(size_t bytes) {
    char text[64];
    snprintf(text, sizeof text, "'x'.repeat(%zu)", bytes);
    return expression(text, 0, "");
}

static void ready(void) {
    puts("ready");
    fflush(stdout);
    for (int c; (c = getchar()) != '\n';)
        if (c == EOF) exit(0);
}

static int by_value(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

static void rtt(Connection *c, int n) {
    const char *method = *c->session ? "Runtime.evaluate" : "Browser.getVersion";
    const char *params = *c->session ? "{\"expression\":\"1\"}" : "{}";
    double *took = malloc(n * sizeof *took), sum = 0;
    for (int i = 0; i < n / 10; i++) ask(c, method, params);
    ready();
    for (int i = 0; i < n; i++) {
        size_t size;
        char *frame = command(c, method, params, &size);
        double begun = now();
        exchange(c, frame, size, 1, 0);
        sum += took[i] = (now() - begun) * 1e6;
        free(frame);
    }
    qsort(took, n, sizeof *took, by_value);
    printf("{\"p50\": %.2f, \"p99\": %.2f, \"mean\": %.2f}\n", took[n / 2], took[n * 99 / 100], sum / n);
}

static void pipeline(Connection *c, int n) {
    char *all = malloc(n * 200L);
    size_t size = 0, one;
    for (int i = 0; i < n; i++) {
        char *frame = command(c, "Runtime.evaluate", "{\"expression\":\"1\"}", &one);
        memcpy(all + size, frame, one);
        size += one;
        free(frame);
    }
    ready();
    double begun = now();
    exchange(c, all, size, n, 0);
    printf("{\"seconds\": %.6f}\n", now() - begun);
}

static void repeat(Connection *c, int n, const char *params) {
    size_t size;
    char *frame = command(c, "Runtime.evaluate", params, &size); /* Chromium does not mind that an id comes again */
    exchange(c, frame, size, 1, 0);
    ready();
    double begun = now();
    for (int i = 0; i < n; i++) exchange(c, frame, size, 1, 0);
    printf("{\"seconds\": %.6f}\n", now() - begun);
}

static void flood(Connection *c, int n, int bytes) {
    char script[200];
    size_t size;
    ask(c, "Runtime.enable", "{}");
    ask(c, "Runtime.addBinding", "{\"name\":\"benchEmit\"}");
    char *frame = command(c, "Runtime.evaluate", "{\"expression\":\"benchEmit('')\"}", &size);
    exchange(c, frame, size, 1, 1);
    int payload = bytes - (int)c->event_size; /* what the event itself takes was seen just now */
    snprintf(script, sizeof script, "{ const s = 'x'.repeat(%d); for (let i = 0; i < %d; i++) benchEmit(s) }", payload, n);
    frame = command(c, "Runtime.evaluate", expression(script, 0, ""), &size);
    ready();
    double begun = now();
    exchange(c, frame, size, 1, n);
    printf("{\"seconds\": %.6f}\n", now() - begun);
}

static long arrived(const Connection *all, int n) {
    long sum = 0;
    for (int i = 0; i < n; i++) {
        int bytes = 0;
        if (ioctl(all[i].fd, FIONREAD, &bytes)) fail("FIONREAD: %s", strerror(errno));
        if (!bytes) return 0; /* not every answer has begun */
        sum += bytes;
    }
    return sum;
}

static void stall(Connection *all, int n, size_t bytes) {
    for (int i = 0; i < n; i++) {
        size_t size;
        char *frame = command(&all[i], "Runtime.evaluate", long_string(bytes), &size);
        if (send(all[i].fd, frame, size, MSG_NOSIGNAL) != (ssize_t)size) fail("send: %s", strerror(errno));
        free(frame);
    }
    long seen = 0, last = -1;
    double begun = now(), changed = begun;
    while (!seen || now() - changed < SETTLED_MS / 1e3) {
        if (now() - begun > GIVE_UP_S) fail("the answers did not begin, or never rest");
        if ((seen = arrived(all, n)) != last) changed = now();
        last = seen;
        usleep(10000);
    }
    printf("{\"arrived\": %ld}\n", seen);
}

int main(int count, char **words) {
    if (count < 6) fail("PORT PATH TARGET MODE N [BYTES]");
    const char *target = words[3], *mode = words[4];
    int port = atoi(words[1]), n = atoi(words[5]), bytes = count > 6 ? atoi(words[6]) : 0;
    int many = !strcmp(mode, "idle") || !strcmp(mode, "stall");
    int connections = many ? n : 1;
    Connection *all = calloc(connections, sizeof *all);
    for (int i = 0; i < connections; i++) {
        open_websocket(&all[i], port, words[2]);
        attach(&all[i], target);
    }
    if (!strcmp(mode, "rtt")) rtt(all, n);
    else if (!strcmp(mode, "pipeline")) pipeline(all, n);
    else if (!strcmp(mode, "response")) repeat(all, n, long_string(bytes));
    else if (!strcmp(mode, "request")) repeat(all, n, expression("'", bytes, "'.length"));
    else if (!strcmp(mode, "flood")) flood(all, n, bytes);
    else if (!strcmp(mode, "idle")) ready(), puts("{}");
    else if (!strcmp(mode, "stall")) ready(), stall(all, n, bytes);
    else fail("no such mode: %s", mode);
    fflush(stdout);
    while (getchar() != EOF) {}
    return 0;
}

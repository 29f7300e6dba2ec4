/* A browser that is none: as much of Chromium as the gateway needs, in a megabyte, to have a thousand of them.
 *
 * Takes Chromium's command line, listens on a free port of 127.0.0.1, says so in DevToolsActivePort, and answers
 * websockets there (RFC 6455) with the CDP replies that a launch and a client wait for. One page, which never does
 * anything. Ends at SIGTERM or Browser.close.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS 64
#define LARGEST 65536 /* bytes of one request or frame; commands of a launch have hundreds */
#define PAGE "{\"targetId\":\"%s\",\"type\":\"page\",\"title\":\"\",\"url\":\"about:blank\",\"attached\":false," \
             "\"canAccessOpener\":false,\"browserContextId\":\"%s\"}"

struct peer {
    char *data; /* what was read and not yet understood */
    size_t length;
    int upgraded;
};

static struct pollfd polled[SOCKETS]; /* the first is the listening one */
static struct peer peers[SOCKETS];
static nfds_t count = 1;
static char guid[37], page[33], context[33];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* SHA-1 (RFC 3174) of a message under 120 bytes: enough for a key and the GUID of RFC 6455. */
static uint32_t rotated(uint32_t value, int by) { return value << by | value >> (32 - by); }

static void sha1(const char *text, uint8_t digest[20]) {
    uint8_t message[128] = {0};
    size_t length = strlen(text), blocks = (length + 8) / 64 + 1;
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(message, text, length);
    message[length] = 0x80;
    message[blocks * 64 - 2] = (uint8_t)(length * 8 >> 8);
    message[blocks * 64 - 1] = (uint8_t)(length * 8);
    for (size_t block = 0; block < blocks; block++) {
        uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (int t = 0; t < 16; t++) {
            memcpy(&w[t], message + block * 64 + t * 4, 4);
            w[t] = ntohl(w[t]);
        }
        for (int t = 16; t < 80; t++) w[t] = rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
        for (int t = 0; t < 80; t++) {
            uint32_t mixed = t < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                             : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                             : t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                      : (b ^ c ^ d) + 0xca62c1d6;
            mixed += rotated(a, 5) + e + w[t];
            e = d, d = c, c = rotated(b, 30), b = a, a = mixed;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
    }
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
}

static void base64(const uint8_t *bytes, char text[29]) { /* of 20 bytes */
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 28; i++) {
        int bit = i * 6, byte = bit / 8;
        uint16_t two = (uint16_t)(bytes[byte] << 8 | (byte < 19 ? bytes[byte + 1] : 0));
        text[i] = digits[two >> (10 - bit % 8) & 63];
    }
    strcpy(text + 27, "=");
}

static void hex(char *text, int digits) {
    uint8_t bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) fail("getrandom");
    for (int i = 0; i < digits; i++) text[i] = "0123456789ABCDEF"[bytes[i / 2] >> (i % 2 * 4) & 15];
    text[digits] = 0;
}

static void put(int fd, const void *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return; /* it is gone; reading will say so */
        bytes = (const char *)bytes + sent;
        length -= (size_t)sent;
    }
}

static void frame(int fd, int opcode, const char *payload, size_t length) {
    uint8_t head[4] = {(uint8_t)(0x80 | opcode), (uint8_t)length};
    if (length < 126) {
        put(fd, head, 2);
    } else {
        head[1] = 126, head[2] = (uint8_t)(length >> 8), head[3] = (uint8_t)length;
        put(fd, head, 4);
    }
    put(fd, payload, length);
}

static void tell(int fd, const char *format, ...) {
    char text[2048];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    frame(fd, 1, text, (size_t)length);
}

/* The value of the first `name` in a command, as it stands there; strings without their quotes. */
static int value(const char *command, const char *name, char *found, size_t size) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *at = strstr(command, quoted);
    if (at == NULL) return 0;
    at += strlen(quoted);
    at += strspn(at, " \"");
    snprintf(found, size, "%.*s", (int)strcspn(at, ",}\""), at);
    return 1;
}

static void answer(int fd, const char *command) {
    char id[24] = "0", method[96] = "", session[64], tail[96] = "";
    value(command, "id", id, sizeof id);
    value(command, "method", method, sizeof method);
    if (value(command, "sessionId", session, sizeof session))
        snprintf(tail, sizeof tail, ",\"sessionId\":\"%s\"", session);
    if (strcmp(method, "Browser.getVersion") == 0) {
        tell(fd, "{\"id\":%s,\"result\":{\"protocolVersion\":\"1.3\",\"product\":\"Chrome/156.0.0.0\",\"revision\":\"@0\","
                 "\"userAgent\":\"Mozilla/5.0\",\"jsVersion\":\"15.6\"}%s}", id, tail);
    } else if (strcmp(method, "Target.getTargets") == 0) {
        tell(fd, "{\"id\":%s,\"result\":{\"targetInfos\":[" PAGE "]}%s}", id, page, context, tail);
    } else if (strcmp(method, "Target.attachToTarget") == 0) {
        tell(fd, "{\"id\":%s,\"result\":{\"sessionId\":\"%s\"}%s}", id, page, tail);
    } else if (strcmp(method, "Target.setDiscoverTargets") == 0) {
        tell(fd, "{\"method\":\"Target.targetCreated\",\"params\":{\"targetInfo\":" PAGE "}%s}", page, context, tail);
        tell(fd, "{\"id\":%s,\"result\":{}%s}", id, tail);
    } else {
        tell(fd, "{\"id\":%s,\"result\":{}%s}", id, tail);
        if (strcmp(method, "Browser.close") == 0) exit(0);
    }
}

/* One HTTP request at the front of what was read: an upgrade, or /json/version. Its length, 0 if it is not whole. */
static size_t request(int fd, struct peer *peer) {
    char *end = strstr(peer->data, "\r\n\r\n"), reply[512];
    if (end == NULL) return 0;
    char *key = strcasestr(peer->data, "\r\nsec-websocket-key:");
    if (key != NULL && key < end) {
        char text[100], accept[29];
        uint8_t digest[20];
        key += strlen("\r\nsec-websocket-key:");
        key += strspn(key, " ");
        snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
        sha1(text, digest);
        base64(digest, accept);
        snprintf(reply, sizeof reply, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
        peer->upgraded = 1;
    } else {
        char body[] = "{\"Browser\":\"Chrome/156.0.0.0\",\"Protocol-Version\":\"1.3\"}";
        snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(body), body);
    }
    put(fd, reply, strlen(reply));
    return (size_t)(end + 4 - peer->data);
}

/* One masked frame at the front of what was read. Its length, 0 if it is not whole, -1 after a Close. */
static ssize_t frame_read(int fd, struct peer *peer) {
    uint8_t *data = (uint8_t *)peer->data;
    if (peer->length < 6) return 0;
    size_t length = data[1] & 127, head = 6;
    if (length == 126) length = (size_t)(data[2] << 8 | data[3]), head = 8;
    if (length == 127 || head + length > LARGEST) return -1; /* more than it was made for */
    if (peer->length < head + length) return 0;
    char *payload = peer->data + head;
    for (size_t i = 0; i < length; i++) payload[i] = (char)(payload[i] ^ data[head - 4 + i % 4]);
    int opcode = data[0] & 15;
    if (opcode == 1) {
        char after = payload[length];
        payload[length] = 0;
        answer(fd, payload);
        payload[length] = after;
    } else if (opcode == 9) {
        frame(fd, 10, payload, length);
    } else if (opcode == 8) {
        frame(fd, 8, payload, length < 2 ? 0 : 2);
        return -1;
    }
    return (ssize_t)(head + length);
}

static void drop(nfds_t at) {
    close(polled[at].fd);
    free(peers[at].data);
    count--;
    polled[at] = polled[count];
    peers[at] = peers[count];
}

/* Read what is there; 0 once this peer is done with. */
static int readable(nfds_t at) {
    struct peer *peer = &peers[at];
    if (peer->data == NULL && (peer->data = malloc(LARGEST + 1)) == NULL) fail("malloc");
    ssize_t got = recv(polled[at].fd, peer->data + peer->length, LARGEST - peer->length, 0);
    if (got <= 0) return 0;
    peer->length += (size_t)got;
    for (;;) {
        peer->data[peer->length] = 0;
        ssize_t used = peer->upgraded ? frame_read(polled[at].fd, peer) : (ssize_t)request(polled[at].fd, peer);
        if (used < 0) return 0;
        if (used == 0) return peer->length < LARGEST;
        peer->length -= (size_t)used;
        memmove(peer->data, peer->data + used, peer->length);
    }
}

static int listening(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0) fail("listen");
    return fd;
}

static void announce(const char *profile, int fd) {
    char temporary[4096], final[4096];
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) fail("getsockname");
    snprintf(final, sizeof final, "%s/DevToolsActivePort", profile);
    snprintf(temporary, sizeof temporary, "%s/.DevToolsActivePort", profile);
    FILE *file = fopen(temporary, "w");
    if (file == NULL) fail(temporary);
    fprintf(file, "%d\n/devtools/browser/%s", ntohs(address.sin_port), guid);
    if (fclose(file) != 0 || rename(temporary, final) != 0) fail(final);
}

int main(int argc, char **argv) {
    const char *profile = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) return puts("Chromium 156.0.0.0") < 0;
        if (strncmp(argv[i], "--user-data-dir=", 16) == 0) profile = argv[i] + 16;
    }
    if (profile == NULL) return fputs("--user-data-dir=DIR is wanted\n", stderr), 2;
    hex(page, 32), hex(context, 32), hex(guid, 32);
    polled[0] = (struct pollfd){.fd = listening(), .events = POLLIN};
    announce(profile, polled[0].fd);
    for (;;) {
        if (poll(polled, count, -1) < 0 && errno != EINTR) fail("poll");
        for (nfds_t at = count; at-- > 1;)
            if (polled[at].revents != 0 && !readable(at)) drop(at);
        if (polled[0].revents & POLLIN && count < SOCKETS) {
            int fd = accept4(polled[0].fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0) continue;
            polled[count] = (struct pollfd){.fd = fd, .events = POLLIN};
            peers[count++] = (struct peer){0};
        }
    }
}
